"""Models by the names of a Hugging Face Hub."""

import fcntl
import os
import pathlib
import pty
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
import unittest

import hub_server
from program import (EMULATOR, FOLDER, WINDOWS, check_failure, command, puna, random_model,
                     small_model)

COMMIT = hub_server.COMMIT
OTHER_COMMIT = "f" * 40
NAME = "hf:owner/repo/model.gguf"
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if not name.startswith("HF_") and not name.lower().endswith("_proxy")}


class Case(unittest.TestCase):
    """A Hub with one small model, and an empty cache."""

    def setUp(self):
        self.hub = hub_server.Hub()
        self.addCleanup(self.hub.close)
        self.data = small_model().read_bytes()
        self.hub.files["owner/repo/model.gguf"] = self.data
        self.home = FOLDER / self.id()
        self.cache = self.home / "hub"
        self.repository = self.cache / "models--owner--repo"
        self.snapshot = self.repository / "snapshots" / COMMIT

    def environment(self, **variables):
        return {**ENVIRONMENT, "HF_HOME": str(self.home), "HF_ENDPOINT": self.hub.url, **variables}

    def run_model(self, name=NAME, **variables):
        return puna("tokenize", name, env=self.environment(**variables))

    def check_runs(self, name=NAME, **variables):
        result = self.run_model(name, **variables)
        self.assertEqual((result.returncode, result.stdout), (0, b'{"tokens":[1]}\n'), result)
        return result.stderr.decode()

    def check_fails(self, *words, name=NAME, **variables):
        """The message; a line before it may tell of a download that has begun."""
        result = self.run_model(name, **variables)
        lines = result.stderr.decode().splitlines()
        self.assertEqual((result.returncode, result.stdout), (1, b""), result)
        self.assertTrue(lines and lines[-1].startswith("puna: "), lines)
        self.assertTrue(all(line.startswith("downloading ") for line in lines[:-1]), lines)
        for word in words:
            self.assertIn(word, lines[-1])
        return lines[-1]

    def behave(self, **behaviour):
        self.hub.behaviour = hub_server.Behaviour(**behaviour)

    def partial(self, data=None):
        return self.repository / f"blobs/{hub_server.sha256(data or self.data)}.incomplete"

    def leave_partial(self, data):
        self.partial().parent.mkdir(parents=True)
        self.partial().write_bytes(data)

    def check_nothing_taken(self):
        self.assertEqual([*self.repository.glob("snapshots/**/*.gguf")], [])
        blobs = self.repository / "blobs"
        names = os.listdir(blobs) if blobs.exists() else []
        self.assertEqual([name for name in names if not name.endswith(".incomplete")], [])

    def put_in_cache(self, file="model.gguf", commit=COMMIT, data=None):
        data = data or self.data
        path = self.repository / "snapshots" / commit / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        (self.repository / "refs").mkdir(exist_ok=True)
        (self.repository / "refs/main").write_text(commit)


class Names(Case):
    def test_wrong_ones(self):
        for name in ("hf:", "hf:owner", "hf:owner/", "hf:/repo/f.gguf", "hf:../repo/f.gguf",
                     "hf:owner/../f.gguf", "hf:owner/repo/", "hf:owner/repo/../../f.gguf",
                     "hf:owner/repo//f.gguf", "hf:owner/repo/./f.gguf", "hf:owner/repo/a\\b.gguf",
                     "hf:owner/repo/a/..", "hf:owner/repo/a\nb.gguf", "hf:owner/repo/a\x7f.gguf",
                     "hf:owner/repo/C:/f.gguf", "hf:owner/repo@/f.gguf", "hf:owner/repo@../f.gguf",
                     "hf:owner/repo@a b /f.gguf", "hf:owner/repo:", "hf:owner/repo:../x",
                     "hf:ow--ner/repo/f.gguf", "hf:owner/re po/f.gguf", "hf:owner/repo/.. /f.gguf"):
            with self.subTest(name):
                result = self.run_model(name)
                check_failure(self, result, 1, "hf:OWNER/REPO/FILE.gguf")
        self.assertEqual(self.hub.requests, [])
        self.assertFalse(self.home.exists())

    def test_wrong_settings(self):
        for name, value in (("HF_ENDPOINT", "ftp://x"), ("HF_TOKEN", "a\r\nX-Evil: 1"),
                            ("HF_TOKEN", "two words")):
            check_failure(self, self.run_model(**{name: value}), 1, name)
        self.assertEqual(self.hub.requests, [])


class Cached(Case):
    """Needs no network, so none is used."""

    def tearDown(self):
        self.assertEqual(self.hub.requests, [])

    def test_file_of_a_revision(self):
        self.put_in_cache("some folder/100%.gguf")
        self.check_runs("hf:owner/repo/some folder/100%.gguf")
        self.check_runs("hf:owner/repo@main/some folder/100%.gguf")
        self.check_runs(f"hf:owner/repo@{COMMIT}/some folder/100%.gguf")

    def test_file_by_tag(self):
        self.put_in_cache("a-Q4_0.gguf")
        self.put_in_cache("a-Q8_0.gguf", data=b"no model")
        self.check_runs("hf:owner/repo:q4_0")
        self.check_runs("hf:owner/repo@main:Q4_0")

    def test_every_way_to_say_where(self):
        self.put_in_cache()
        self.check_runs(HF_HOME="nowhere", HF_HUB_CACHE=str(self.cache))
        nowhere = {"HF_HOME": "", "HF_HUB_CACHE": "", "HOME": ""}
        (self.home / "x").mkdir()
        (self.home / "x/huggingface").symlink_to(self.home)
        self.check_runs(**{**nowhere, "XDG_CACHE_HOME": str(self.home / "x")})
        if WINDOWS:
            return  # Wine sets USERPROFILE itself
        (self.home / ".cache").symlink_to(self.home / "x")
        self.check_runs(**{**nowhere, "HOME": str(self.home), "XDG_CACHE_HOME": ""})

    def test_offline(self):
        for value in ("1", "true", "ON"):
            self.check_fails(NAME, str(self.cache), "HF_HUB_OFFLINE", HF_HUB_OFFLINE=value)
        self.put_in_cache()
        self.check_runs(HF_HUB_OFFLINE="1")

    def test_every_command(self):
        self.put_in_cache()
        for arguments in (("run", NAME, "-p", "a", "-n", "1"), ("detokenize", NAME),
                          ("logits", NAME, "--tokens", "1", "--out", "-"), ("inspect", NAME),
                          ("make-model", FOLDER / "made.gguf", "--type", "q8_0", "--vocab", NAME,
                           "--shape", "n_embd=64,n_layer=1,n_head=2,n_ff=64"),
                          ("perplexity", NAME, "-f", pathlib.Path(__file__), "--ctx", "64")):
            result = puna(*arguments, stdin=b"[1]", env=self.environment())
            self.assertEqual(result.returncode, 0, result)
        self.put_in_cache(data=b"no model")  # a real one would be measured for seconds
        check_failure(self, puna("bench", NAME, env=self.environment()), 1, f"{COMMIT}/model.gguf")


class Downloads(Case):
    def test_layout_is_that_of_huggingface_hub(self):
        message = self.check_runs()
        path = self.snapshot / "model.gguf"
        digest = hub_server.sha256(self.data)
        self.assertEqual(os.readlink(path), f"../../blobs/{digest}")
        self.assertEqual(path.read_bytes(), self.data)
        self.assertEqual((self.repository / "refs/main").read_text(), COMMIT)
        self.assertEqual(os.listdir(self.repository / "blobs"), [digest])
        self.assertTrue((self.cache / f".locks/models--owner--repo/{digest}.lock").exists())
        self.assertEqual(message.count("\n"), 1)
        self.assertRegex(message, r"^downloading model\.gguf \(\d+ kB\) to /.*/blobs/")
        n_requests = len(self.hub.requests)
        self.assertEqual(self.check_runs(), "")
        self.assertEqual(len(self.hub.requests), n_requests)

    def test_requests(self):
        self.check_runs(HF_TOKEN="secret")
        head, get, store = self.hub.requests
        self.assertEqual((head.server, head.method), ("hub", "HEAD"))
        self.assertEqual((get.server, get.method), ("hub", "GET"))
        self.assertEqual((store.server, store.method), ("store", "GET"))
        for request in (head, get):
            self.assertEqual(request.headers["authorization"], "Bearer secret")
            self.assertEqual(request.headers["accept-encoding"], "identity")
            self.assertTrue(request.headers["user-agent"].startswith("puna/"))
        self.assertNotIn("secret", str(store.headers))
        self.assertNotIn("range", store.headers)

    def test_token_file(self):
        self.home.mkdir()
        (self.home / "token").write_text("of-the-file\n")
        self.check_runs()
        self.assertEqual(self.hub.requests[0].headers["authorization"], "Bearer of-the-file")

    def test_names_that_need_care(self):
        for file in ("a folder/deeper/100%25 + \u6f22#?.gguf", "%2e%2e.gguf"):
            self.hub.files[f"owner/repo/{file}"] = self.data
            self.check_runs(f"hf:owner/repo/{file}")
            self.assertEqual((self.snapshot / file).read_bytes(), self.data)
        self.assertEqual(len(self.hub.bodies()), 1)  # the same bytes as the first

    def test_small_file_of_git(self):
        self.behave(is_large=False)
        self.check_runs()
        self.assertEqual(os.listdir(self.repository / "blobs"), [hub_server.git_sha1(self.data)])

    def test_etag_that_is_no_checksum(self):
        self.behave(etag="abc-12")
        self.check_runs()
        self.assertEqual(os.listdir(self.repository / "blobs"), ["abc-12"])

    def test_renamed_repository(self):
        self.behave(redirects="renamed")
        self.check_runs(HF_TOKEN="secret")
        self.assertEqual((self.snapshot / "model.gguf").read_bytes(), self.data)
        self.assertEqual([request.headers.get("authorization") for request in self.hub.requests],
                         4 * ["Bearer secret"] + [None])

    def test_commit_as_revision(self):
        self.check_runs(f"hf:owner/repo@{COMMIT}/model.gguf")
        self.assertFalse((self.repository / "refs").exists())

    def test_new_commit_with_the_same_file(self):
        self.check_runs()
        self.behave(commit=OTHER_COMMIT)
        shutil.rmtree(self.snapshot)
        self.check_runs()
        self.assertEqual((self.repository / "refs/main").read_text(), OTHER_COMMIT)
        self.assertEqual(len(self.hub.bodies()), 1)

    def test_split_model(self):
        whole = random_model("--n-layer", "2", "--n-embd", "64")
        result = puna("make-model", FOLDER / "split.gguf", "--type", "q8_0", "--vocab", whole,
                      "--shape", "n_embd=64,n_layer=4,n_head=2,n_ff=256", "--split-size", "100K")
        self.assertEqual(result.returncode, 0, result)
        parts = sorted(FOLDER.glob("split-*-of-*.gguf"))
        self.assertGreater(len(parts), 2)
        for part in parts:
            self.hub.files["owner/repo/Q8_0/" + part.name] = part.read_bytes()
        for name in (f"Q8_0/{parts[0].name}", "Q8_0"):
            result = puna("run", f"hf:owner/repo{':' if name == 'Q8_0' else '/'}{name}", "-p", "a",
                          "-n", "1", env=self.environment())
            self.assertEqual(result.returncode, 0, result)
            self.assertEqual(len(self.hub.bodies()), len(parts))
            self.assertEqual(len(os.listdir(self.snapshot / "Q8_0")), len(parts))
            shutil.rmtree(self.snapshot)

    def test_tags(self):
        model = self.hub.files.pop("owner/repo/model.gguf")
        for file in ("a-Q4_0.gguf", "a-Q4_0_8_8.gguf", "a.Q4_K_M.gguf", "a.Q4_K_S.gguf",
                     "a-IQ4_XS.gguf", "README.md", "sub/b-q5_k_m-v2.gguf"):
            self.hub.files["owner/repo/" + file] = model if file.endswith(".gguf") else b"text"
        self.hub.more_siblings = [{"rfilename": "../Q6_K.gguf"}, {"rfilename": 5}, 7, {}]
        for tag, file in (("q4_0", "a-Q4_0.gguf"), ("Q4_K_M", "a.Q4_K_M.gguf"),
                          ("Q5_K_M", "sub/b-q5_k_m-v2.gguf"), ("iq4_xs", "a-IQ4_XS.gguf")):
            self.check_runs(f"hf:owner/repo:{tag}")
            self.assertEqual((self.snapshot / file).read_bytes(), model)
            shutil.rmtree(self.snapshot)
        for name in ("hf:owner/repo:Q4_K", "hf:owner/repo:Q6_K", "hf:owner/repo:XS.g",
                     "hf:owner/repo"):
            message = self.check_fails("a-Q4_0.gguf, ", "sub/b-q5_k_m-v2.gguf", name=name)
            self.assertNotIn("README", message)
            self.assertNotIn("..", message)

    def test_repository_with_one_model(self):
        self.check_runs("hf:owner/repo")
        self.check_runs("hf:owner/repo")
        self.assertEqual([request.path for request in self.hub.requests if "/api/" in request.path],
                         ["/api/models/owner/repo/revision/main"])
        self.check_fails("no repository nobody/nothing", name="hf:nobody/nothing")
        self.hub.files["owner/texts/README.md"] = b"text"
        self.check_fails("no GGUF", name="hf:owner/texts")


class Refusals(Case):
    def test_of_the_hub(self):
        for status, code, words in ((401, "GatedRepo", ["HF_TOKEN", "gated"]),
                                    (403, "GatedRepo", ["HF_TOKEN", "gated"]),
                                    (404, "EntryNotFound", ["no such file"]),
                                    (404, "", ["no such file"]),
                                    (404, "RepoNotFound", ["no repository owner/repo"]),
                                    (404, "RevisionNotFound", ["no revision 'main'"])):
            self.behave(status=status, error_code=code)
            self.check_fails(NAME, str(status), *words)
        self.behave(status=403)
        self.check_fails("may not read", HF_TOKEN="secret")
        self.assertFalse(self.home.exists())

    def test_endless_redirects(self):
        self.behave(redirects="loop")
        self.check_fails("redirects without end")
        self.assertLess(len(self.hub.requests), 15)

    def test_what_becomes_a_path(self):
        for behaviour, word in (({"etag": "../../evil"}, "ETag"), ({"etag": "a/b"}, "ETag"),
                                ({"etag": "a.lock"}, "ETag"), ({"etag": "a" * 200}, "ETag"),
                                ({"commit": "../../evil"}, "commit"), ({"commit": ""}, "commit"),
                                ({"commit": "F" * 40}, "commit"), ({"size": "many"}, "size"),
                                ({"size": "-1"}, "size"), ({"size": "9" * 30}, "size")):
            with self.subTest(behaviour):
                self.behave(**behaviour)
                self.check_fails(word)
        self.behave(commit=OTHER_COMMIT)
        self.check_fails("commit", OTHER_COMMIT, name=f"hf:owner/repo@{COMMIT}/model.gguf")
        self.assertFalse(self.home.exists())

    def test_wrong_checksum(self):
        for etag in ("0" * 64, "0" * 40):
            self.behave(etag=etag)
            self.check_fails("checksum", f"{etag}.incomplete")
            self.check_nothing_taken()
            self.assertEqual((self.repository / f"blobs/{etag}.incomplete").read_bytes(), self.data)

    def test_other_length_than_announced(self):
        for behaviour in ({"size": str(len(self.data) + 1)}, {"size": str(len(self.data) - 1)},
                          {"length_off": 5}, {"length_off": -5}):
            with self.subTest(behaviour):
                self.behave(**behaviour)
                self.check_fails(behaviour.get("size", str(len(self.data))), "announced")
                self.check_nothing_taken()

    def test_body_that_is_longer(self):
        self.behave(has_length=False, body_ends=-1)
        self.check_fails("more than", str(len(self.data)), ".incomplete")
        self.check_nothing_taken()

    def test_cache_that_cannot_be_written(self):
        (FOLDER / "file").write_bytes(b"")
        self.check_fails(str(FOLDER / "file"), "HF_HUB_CACHE", HF_HUB_CACHE=str(FOLDER / "file/x"))

    @unittest.skipUnless(hasattr(os, "geteuid") and os.geteuid() == 0 and not EMULATOR,
                         "changes the user")
    def test_cache_of_another_user(self):
        """Files are found in it, but none can be added."""
        self.put_in_cache()
        for folder in (FOLDER, self.home, self.cache, self.repository):
            folder.chmod(0o755)
        for name, status in ((NAME, 0), ("hf:owner/repo/other.gguf", 1)):
            self.hub.files["owner/repo/other.gguf"] = self.data
            result = puna("tokenize", name, env=self.environment(), user=65534)
            self.assertEqual(result.returncode, status, result)
        self.assertIn(b"HF_HUB_CACHE", result.stderr)
        self.assertEqual(self.hub.bodies(), [])

    def test_full_disk(self):
        """A limit of the size of files is the nearest to it that needs no disk."""
        limit = len(self.data) // 2

        def set_limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        result = puna("tokenize", NAME, env=self.environment(), preexec_fn=set_limit,
                      restore_signals=False)
        self.assertEqual(result.returncode, 1, result)
        self.assertIn(b".incomplete: cannot be written: ", result.stderr)
        self.assertEqual(self.partial().read_bytes(), self.data[:limit])
        self.check_runs()


class Interruptions(Case):
    def test_a_hundred_megabytes_interrupted_ten_times(self):
        data = self.data + bytes(100 * 1000 * 1000 - len(self.data))
        self.hub.files["owner/repo/model.gguf"] = data
        self.behave(drops=10, drop_after=9_500_001)
        self.check_runs()
        self.assertEqual((self.snapshot / "model.gguf").stat().st_size, len(data))
        self.assertEqual(len(self.hub.bodies()), 11)
        self.assertEqual([request.first_byte for request in self.hub.bodies()],
                         [9_500_001 * i for i in range(11)])
        self.assertEqual(self.hub.n_sent(), len(data))

    def test_server_that_needs_a_moment(self):
        self.behave(failures=2, pause=0.2)
        self.check_runs()

    def test_resumed(self):
        self.leave_partial(self.data[:1000])
        self.check_runs()
        (request,) = self.hub.bodies()
        self.assertEqual(request.headers["range"], "bytes=1000-")
        self.assertEqual(request.n_sent, len(self.data) - 1000)

    def test_resumed_where_ranges_are_not_known(self):
        for behaviour in ({"ignores_ranges": True}, {"wrong_range": "bytes 0-9/10x"},
                          {"wrong_range": f"bytes 5-{len(self.data) - 1}/{len(self.data)}"},
                          {"wrong_range": "nonsense"}, {"status_of_range": 416}):
            with self.subTest(behaviour):
                self.behave(**behaviour)
                self.leave_partial(self.data[:1000])
                self.check_runs()
                self.assertEqual(self.hub.bodies()[-1].first_byte, 0)
                shutil.rmtree(self.home)

    def test_resumed_but_another_file(self):
        self.behave(wrong_range=f"bytes 1000-{len(self.data)}/{len(self.data) + 1}")
        self.leave_partial(self.data[:1000])
        self.check_fails("announced", str(len(self.data) + 1))
        self.assertEqual(self.partial().read_bytes(), self.data[:1000])

    def test_broken_where_ranges_are_not_known(self):
        self.behave(ignores_ranges=True, drops=2, drop_after=len(self.data) // 2)
        self.check_runs()
        self.assertEqual([request.first_byte for request in self.hub.bodies()], [0, 0, 0])

    def test_whole_partial_files(self):
        self.leave_partial(self.data)
        self.check_runs()
        self.assertEqual(self.hub.bodies(), [])
        for wrong in (self.data[:-1] + b"?", self.data + b"?"):
            shutil.rmtree(self.home)
            self.leave_partial(wrong)
            self.hub.requests.clear()
            self.check_runs()
            self.assertEqual([request.first_byte for request in self.hub.bodies()], [0])

    def test_wrong_partial_file(self):
        self.leave_partial(b"?" * 1000)
        self.check_fails("checksum")
        self.check_nothing_taken()
        self.check_runs()


class Patience(Case):
    """Servers that never do better, all at the same time: trying again takes seconds."""

    def start(self, name, hub, **variables):
        environment = self.environment(HF_HOME=str(self.home / name), HF_ENDPOINT=hub.url)
        return subprocess.Popen([*command("puna"), "tokenize", NAME],
                                env={**environment, **variables}, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_end_of_it(self):
        hubs = {}
        for name, behaviour in (("down", {"status": 500}), ("busy", {"failures": 1000}),
                                ("mute", {"drops": 1000}), ("short", {"body_ends": 1000}),
                                ("gone", {})):
            hubs[name] = hub_server.Hub()
            self.addCleanup(hubs[name].close)
            hubs[name].files = self.hub.files
            hubs[name].behaviour = hub_server.Behaviour(**behaviour)
        hubs["gone"].servers[0].server_close()
        processes = {name: self.start(name, hub) for name, hub in hubs.items()}
        messages = {}
        for name, process in processes.items():
            out, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, out), (1, b""), (name, err))
            messages[name] = err.decode().splitlines()[-1]

        self.assertRegex(messages["down"], f"^puna: {NAME}: .*HTTP 500.*later")
        self.assertEqual(len(hubs["down"].requests), 5)
        self.assertRegex(messages["gone"], f"^puna: {NAME}: {hubs['gone'].url}: .*connect")
        for name, tries in (("busy", 5), ("mute", 5), ("short", 6)):  # its first one brought bytes
            self.assertRegex(messages[name], "broke off at .* of .*same command.*incomplete")
            asked = [request for request in hubs[name].requests if request.server == "store"]
            self.assertEqual(len(asked), tries, name)
        self.assertIn("HTTP 503", messages["busy"])
        blob = f"hub/models--owner--repo/blobs/{hub_server.sha256(self.data)}.incomplete"
        self.assertEqual((self.home / "short" / blob).read_bytes(), self.data[:-1000])


class Processes(Case):
    """They are stopped, or there are two of them."""

    def setUp(self):
        super().setUp()
        self.data += bytes(4_000_000)
        self.hub.files["owner/repo/model.gguf"] = self.data

    def start(self, **options):
        options = {"stderr": subprocess.PIPE, **options}
        return subprocess.Popen([*command("puna"), "tokenize", NAME], env=self.environment(),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **options)

    def wait_for_partial(self, n_bytes=1):
        for _ in range(2000):
            if self.partial().exists() and self.partial().stat().st_size >= n_bytes:
                return
            time.sleep(0.005)
        self.fail("nothing comes")

    def stop_and_resume(self, signal_number, status):
        self.behave(piece=20_000)
        process = self.start()
        self.wait_for_partial(500_000)
        begin = time.monotonic()
        process.send_signal(signal_number)
        out, err = process.communicate(timeout=30)
        self.assertLess(time.monotonic() - begin, 1)
        self.assertEqual((process.returncode, out), (status, b""), err)
        self.assertEqual(err.count(b"\n"), 1)  # "downloading ..."
        self.check_nothing_taken()
        n_here = self.partial().stat().st_size
        self.assertLess(n_here, len(self.data))

        self.behave()
        self.hub.requests.clear()
        self.check_runs()
        (request,) = self.hub.bodies()
        self.assertEqual((request.first_byte, request.n_sent), (n_here, len(self.data) - n_here))

    def test_killed(self):
        self.stop_and_resume(signal.SIGKILL, -signal.SIGKILL)

    def test_interrupted(self):
        self.stop_and_resume(signal.SIGINT, 130)

    def test_interrupted_while_nothing_comes(self):
        self.behave(pause=60)
        process = self.start()
        while len(self.hub.requests) < 3:
            time.sleep(0.01)
        time.sleep(0.1)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        self.assertLess(time.monotonic() - begin, 1)
        self.assertEqual((process.returncode, out), (130, b""), err)

    def test_two_at_once(self):
        self.behave(piece=50_000)
        first = self.start()
        self.wait_for_partial()
        second = self.start()
        third = self.start()
        errors = []
        for process in (first, second, third):
            out, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, out), (0, b'{"tokens":[1]}\n'), err)
            errors.append(err)
        self.assertTrue(errors[0].startswith(b"downloading"), errors)
        for error in errors[1:]:
            self.assertTrue(error.startswith(b"waiting for another program"), errors)
        self.assertEqual(len(self.hub.bodies()), 1)
        self.assertEqual((self.snapshot / "model.gguf").read_bytes(), self.data)

    def test_lock_of_the_python_package(self):
        lock = self.cache / f".locks/models--owner--repo/{hub_server.sha256(self.data)}.lock"
        lock.parent.mkdir(parents=True)
        with open(lock, "w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            process = self.start()
            self.assertIn(b"waiting", process.stderr.readline())
            self.assertEqual(self.hub.bodies(), [])
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
            self.assertEqual(process.returncode, 130)
        self.check_runs()

    def test_progress_on_a_terminal(self):
        self.behave(piece=40_000)
        terminal, stderr = pty.openpty()
        process = self.start(stderr=stderr)
        os.close(stderr)
        text = b""
        while select.select([terminal], [], [], 30)[0]:
            try:
                text += os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
        os.close(terminal)
        self.assertEqual(process.communicate(timeout=30)[0], b'{"tokens":[1]}\n')
        lines = text.decode().split("\r\033[K")
        self.assertRegex(lines[0], "^downloading model.gguf")
        self.assertRegex(text.decode(), r"downloading \[#+ *\] +\d+ % of 4.\d+ MB, "
                                        r"[\d.]+ MB/s, \d+ s left")
        self.assertLess(max(map(len, lines[1:])), 80)


def can_download():
    hub = hub_server.Hub()
    hub.behaviour.status = 404
    environment = {**ENVIRONMENT, "HF_ENDPOINT": hub.url, "HF_HOME": str(FOLDER / "probe")}
    result = puna("tokenize", NAME, env=environment)
    hub.close()
    assert b"HTTP 404" in result.stderr or b"cannot download" in result.stderr, result
    return b"HTTP 404" in result.stderr


if __name__ == "__main__":
    if can_download():
        unittest.main()
    tests = unittest.main(defaultTest=["Names", "Cached"], exit=False)
    print("the program was built without downloads: the other tests are skipped")
    sys.exit(77 if tests.result.wasSuccessful() else 1)
