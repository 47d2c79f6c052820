#!/usr/bin/env python3
"""Holds the dependency order of docs/architecture.md: who may include what."""

import collections
import re
import sys

from project_files import ROOT, source_files

# A room of lib/ sees the rooms named here and itself.
SEES = {
    "base": set(),
    "format": {"base"},
    "text": {"base", "format"},
    "model": {"base", "format"},
    "seam": {"base"},
    "cpu": {"base", "format", "seam"},
    "backend": {"base", "format", "model"},
    "runtime": {"base", "format", "text", "model", "backend"},
    "capi": {"base", "format", "text", "model", "backend", "runtime"},
}
# The registry alone knows that there is a CPU backend.
REGISTRY = re.compile(r"lib/backend/\w*registry\w*\.cpp")
SEES_BACKEND_HEADER = {"model", "seam", "cpu", "backend", "runtime", "capi"}

SYSTEM = re.compile(
    r"(sys|linux|asm|mach|arpa|netinet)/.*|unistd\.h|fcntl\.h|pthread\.h|sched\.h|dlfcn\.h|"
    r"dirent\.h|poll\.h|signal\.h|csignal|spawn\.h|semaphore\.h|termios\.h|io\.h|direct\.h|"
    r"process\.h|windows\.h|win\w+\.h|psapi\.h|intrin\.h")
SYSTEM_FILES = re.compile(r"lib/base/\w+_(posix|win32)\.cpp|lib/base/cpu_features\w*\.cpp")

INTRINSICS = re.compile(r"\w*mmintrin\.h|immintrin\.h|x86intrin\.h|arm_\w+\.h|cpuid\.h")
KERNEL_FILES = re.compile(r"lib/cpu/kernels/\w+_(avx2|avx2_vnni|avx512|avx512_gfni|avx512_bf16|amx|neon|neon_i8mm)\.(cpp|h)")
KERNEL_MAY_USE = re.compile(r"cstdint|cstddef|cstring|cmath|cfloat|climits")

# What prints, reads locales, or drags in what does.
REFUSED = re.compile(
    r"regex|iostream|ostream|istream|fstream|sstream|iomanip|ios|iosfwd|streambuf|format|"
    r"filesystem|locale|codecvt|print|syncstream|future")
# What cuda/ takes from the library: tables that are data alone, and statuses and checks, whose sources are
# compiled into the plugin, as it does not link to the library.
CUDA_MAY_USE = re.compile(r"format/iq_grids\.h|base/(checked|error|status)\.h|seam/\w+\.h")
PUBLIC_HEADERS = {"puna/puna.h", "puna/puna.hpp", "puna/puna_backend.h"}


def includes(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', text, re.MULTILINE):
        yield text.count("\n", 0, match.start()) + 1, match.group(1) == '"', match.group(2)


def problem_in_lib(path, room, own, name):
    text = str(path)
    if own and name in PUBLIC_HEADERS:
        if name.endswith(".hpp"):
            return "lib/ stands on the C headers"
        if name.endswith("_backend.h") and room not in SEES_BACKEND_HEADER:
            return f"{room} does not see the backend interface"
    elif own:
        other = name.partition("/")[0]
        if other not in SEES:
            return 'own headers are included as "room/name.h"'
        if other == "cpu" and room != "cpu" and not REGISTRY.fullmatch(text):
            return "only the registry includes a header of cpu"
        if other not in SEES[room] | {room, "cpu"}:
            return f"{room} does not see {other}"
    elif REFUSED.fullmatch(name):
        return "the library does not use this header"
    elif SYSTEM.fullmatch(name) and not SYSTEM_FILES.fullmatch(text):
        return "operating-system headers belong to lib/base/*_posix.cpp and *_win32.cpp"
    elif INTRINSICS.fullmatch(name):
        if not KERNEL_FILES.fullmatch(text) and not SYSTEM_FILES.fullmatch(text):
            return "intrinsics belong to the kernel files"
    elif KERNEL_FILES.fullmatch(text) and not KERNEL_MAY_USE.fullmatch(name):
        return "kernel files use no templates of the standard library"
    return None


def problem(path, own, name):
    top = path.parts[0]
    if top == "lib":
        return problem_in_lib(path, path.parts[1], own, name)
    if top == "include" and own and name not in PUBLIC_HEADERS:
        return "public headers include public headers only"
    if top == "include" and SYSTEM.fullmatch(name):
        return "public headers know no operating system"
    if top == "cuda" and own:
        here = name.startswith("cuda/") and (ROOT / name).is_file()
        c_header = name in {"puna/puna.h", "puna/puna_backend.h"}
        if not here and not c_header and not CUDA_MAY_USE.fullmatch(name):
            return "cuda/ stands on the C headers, statuses, the checks of the seam and a few tables"
    if top == "examples" and own:
        beside = (ROOT / path.parent / name).is_file()
        if not beside and name not in {"puna/puna.h", "puna/puna.hpp"}:
            return "examples use the public headers alone"
    return None


def main():
    problems = []
    by_name = collections.defaultdict(list)
    for path in source_files():
        if path.parts[:3] != ("tests", "abi", "stubs"):
            # The steps of cuda/ have the names of those of lib/cpu.
            name = f"cuda/{path.name}" if path.parts[0] == "cuda" else path.name
            by_name[name].append(str(path))
        for line, own, name in includes(path):
            if why := problem(path, own, name):
                problems.append(f"{path}:{line}: {name}: {why}")
        if path.parts[0] == "lib" and path.suffix == ".h":
            if "#pragma once" not in (ROOT / path).read_text(encoding="utf-8"):
                problems.append(f"{path}: no #pragma once")
    for paths in by_name.values():
        if len(paths) > 1:
            problems.append(f"{', '.join(paths)}: one name for several files")
    print("\n".join(problems) if problems else f"includes: {sum(map(len, by_name.values()))} files ok")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
