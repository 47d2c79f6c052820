#!/usr/bin/env python3
"""Compiles each public header alone in every language standard it promises, warnings as errors.

  check_headers.py --c CC --cxx CXX

A compiler that is not installed makes the check end with status 77 (skipped).
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

INCLUDE = pathlib.Path(__file__).resolve().parent.parent.parent / "include"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
C_WARNINGS = ["-Wstrict-prototypes", "-Wmissing-prototypes", "-Wc++-compat"]
C_STANDARDS = ["c99", "c11", "c17", "c2x"]
CXX_STANDARDS = ["c++11", "c++14", "c++17", "c++20", "c++2b"]


def runs(c, cxx):
    """(compiler with its options, header) for every combination."""
    padded = ["-Wpadded"] if "clang" in pathlib.Path(c).name else []
    for header in sorted(path.name for path in (INCLUDE / "puna").glob("*.h")):
        for standard in C_STANDARDS:
            yield [c, "-x", "c", f"-std={standard}", *C_WARNINGS, *padded], header
        for standard in CXX_STANDARDS:
            yield [cxx, "-x", "c++", f"-std={standard}"], header
    for standard in ["c++20", "c++2b"]:
        for exceptions in ["-fexceptions", "-fno-exceptions"]:
            yield [cxx, "-x", "c++", f"-std={standard}", exceptions], "puna.hpp"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--c", required=True)
    parser.add_argument("--cxx", required=True)
    arguments = parser.parse_args()
    for compiler in (arguments.c, arguments.cxx):
        if not shutil.which(compiler):
            print(f"{compiler} is not installed")
            return 77
    failed = count = 0
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "header_alone.txt"
        for command, header in runs(arguments.c, arguments.cxx):
            # Twice: the include guard is part of the promise. A file without a declaration of its
            # own would be a warning in C.
            # Macros of windows.h stand before it, and what it includes before them.
            lines = (INCLUDE / "puna" / header).read_text().splitlines(keepends=True)
            source.write_text("".join(line for line in lines if line.startswith("#include <")) +
                              "#define min(a, b) not_a_macro\n#define max(a, b) not_a_macro\n" +
                              f'#include "puna/{header}"\n' * 2 + "typedef int a_declaration;\n")
            command = [*command, *WARNINGS, "-I", str(INCLUDE), "-fsyntax-only", str(source)]
            count += 1
            if subprocess.run(command).returncode != 0:
                failed += 1
                print(f"failed: {header}: {' '.join(command)}", flush=True)
    print(f"{count - failed} of {count} compile")
    return int(failed > 0 or count == 0)


if __name__ == "__main__":
    sys.exit(main())
