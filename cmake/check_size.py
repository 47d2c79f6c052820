#!/usr/bin/env python3
"""Lists functions and files that are too long, but for cmake/size_exceptions.txt.

Limits: a function 80 lines, a file 900; a straight-line function of the forward pass or of a
kernel 160. An exception is a line "path[:function] lines reason".
"""

import re
import sys

from project_files import ROOT, source_files, without_comments_and_literals

FILE_LIMIT = 900
FUNCTION_LIMIT = 80
STRAIGHT_LINE_LIMIT = 160
STRAIGHT_LINE = re.compile(r"lib/cpu/(forward|attention)\.cpp|lib/cpu/kernels/.*|cuda/.*")

# The text between the end of the previous declaration and the brace that opens a function.
FUNCTION = re.compile(
    r"([\w~:]+|operator[^(\w]+)\s*\([^;{}]*\)"
    r"(\s*(const|noexcept|override|final|mutable|&&?|->\s*[\w:<>,&*\s]+))*"
    r"(\s*:\s*[^;]*)?\s*$")


def functions(text):
    """(name, first line, number of lines) of every outermost function."""
    text = without_comments_and_literals(text)
    text = re.sub(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*",
                  lambda match: "\n" * match.group(0).count("\n"), text, flags=re.MULTILINE)
    depth_inside = 0  # braces open within the function being read
    head_start = 0
    found = None
    for match in re.finditer(r"[{};]", text):
        at, mark = match.start(), match.group(0)
        if depth_inside:
            depth_inside += {"{": 1, "}": -1, ";": 0}[mark]
            if depth_inside == 0:
                name, first = found
                yield name, first, text.count("\n", 0, at) + 2 - first
                head_start = at + 1
            continue
        head = text[head_start:at]
        if mark == "{" and (found_name := function_name(head)):
            start = head_start + len(head) - len(head.lstrip())
            found = (found_name, text.count("\n", 0, start) + 1)
            depth_inside = 1
        head_start = at + 1


def function_name(head):
    if re.search(r"\b(class|struct|enum|union|namespace)\b[^()]*$", head) or "=" in head.split("(")[0]:
        return None
    match = FUNCTION.search(head)
    if not match:
        return None
    name = match.group(1)
    if name in ("TEST", "TEST_F", "TEST_P"):
        name = re.sub(r"\s+", "", head[match.start(1):match.end()].strip())
    return name


def exceptions():
    limits = {}
    for line in (ROOT / "cmake" / "size_exceptions.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            what, lines, reason = line.split(maxsplit=2)
            limits[what] = int(lines)
    return limits


def main():
    limits = exceptions()
    used = set()
    problems = []
    n_functions = 0

    def hold(what, lines, limit, where):
        if what in limits:
            used.add(what)
            if lines <= limit:
                problems.append(f"{where}: fits the general limit, drop the exception {what}")
            limit = limits[what]
        if lines > limit:
            problems.append(f"{where}: {lines} lines, limit {limit}")

    for path in source_files():
        text = (ROOT / path).read_text(encoding="utf-8")
        hold(str(path), text.count("\n"), FILE_LIMIT, str(path))
        limit = STRAIGHT_LINE_LIMIT if STRAIGHT_LINE.fullmatch(str(path)) else FUNCTION_LIMIT
        for name, first, lines in functions(text):
            n_functions += 1
            hold(f"{path}:{name}", lines, limit, f"{path}:{first}: {name}")
    problems += [f"size_exceptions.txt: {what}: no such file or function"
                 for what in sorted(set(limits) - used)]
    print("\n".join(problems) if problems else f"sizes: {n_functions} functions ok")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
