"""The examples of examples/embed/."""

import unittest

from program import big_model, command, run_program, small_model


def run(name, *arguments):
    return run_program(command(name), *arguments)


class Embed(unittest.TestCase):
    def test_streams(self):
        for name in ("embed_stream_c", "embed_stream_cpp"):
            result = run(name, small_model(), "a story", 60)
            self.assertEqual((result.returncode, result.stderr), (0, b""), name)
            self.assertTrue(result.stdout.strip())

    def test_time_is_up(self):
        for name in ("embed_stream_c", "embed_stream_cpp"):
            result = run(name, big_model(), "word " * 1000, 0)
            self.assertEqual(result.returncode, 0, name)
            self.assertIn(b"cancelled", result.stderr)

    def test_game_loop(self):
        result = run("embed_game_loop_cpp", small_model())
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = result.stdout.split(b"\n")
        for name in (b"Lily: ", b"Tom: ", b"The dog: "):
            self.assertTrue(any(line.startswith(name) for line in lines), name)
        self.assertRegex(result.stdout, rb"\n\d+ frames\r?\n$")

    def test_errors(self):
        for name in ("embed_stream_c", "embed_stream_cpp", "embed_game_loop_cpp"):
            result = run(name, "no/such.gguf")
            self.assertEqual(result.returncode, 1)
            self.assertIn(b"no/such.gguf", result.stderr)


if __name__ == "__main__":
    unittest.main()
