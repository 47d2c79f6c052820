"""The C and C++ files of the project, and their text without comments and literals."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
SUFFIXES = {".c", ".cpp", ".h", ".hpp", ".cu", ".cuh"}
FOLDERS = ("include", "lib", "cuda", "examples", "tests", "bench")


def source_files():
    """Paths relative to the project, of files git tracks or would track."""
    command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "--", *FOLDERS]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    paths = {pathlib.PurePosixPath(line) for line in result.stdout.splitlines()}
    return sorted(p for p in paths if p.suffix in SUFFIXES and (ROOT / p).is_file())


def without_comments_and_literals(text):
    """Comments go, texts and characters become empty ones; every line stays where it was."""
    pattern = re.compile(
        r"""//[^\n]*|/\*.*?\*/|R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|"""
        r"""(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'""", re.DOTALL)

    def replacement(match):
        found = match.group(0)
        kept = "" if found[0] == "/" else "''" if found[0] == "'" else '""'
        return kept + "\n" * found.count("\n")

    return pattern.sub(replacement, text)
