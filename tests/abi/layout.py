#!/usr/bin/env python3
"""Size of every public struct, offset and size of every member, value of every
constant, as a compiler sees them.

  layout.py [--check GOLDEN] -- COMPILER [OPTION...]

Nothing is run: the compiler writes the numbers into assembly text, so any cross compiler will do.
A compiler that is not installed makes a check end with status 77 (skipped).
"""

import argparse
import difflib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import c_header

HEADERS = sorted(path.name for path in (c_header.INCLUDE / "puna").glob("*.h"))


def expressions(header):
    """(label, C expressions) of everything the golden file lists."""
    for name in header.constants:
        yield name, [name]
    for struct, members in header.structs.items():
        yield struct, [f"sizeof({struct})"]
        for member in members:
            yield (f"{struct}.{member}",
                   [f"offsetof({struct}, {member})", f"sizeof((({struct}*)0)->{member})"])


def source(items):
    # The operand of %c becomes a bare number in the assembly text, whatever the target.
    lines = [f'#include "puna/{name}"' for name in HEADERS]
    lines.append("void layout(void);\nvoid layout(void) {")
    for label, values in items:
        places = " ".join(f"%c{i}" for i in range(len(values)))
        operands = ", ".join(f'"i"((long long)({value}))' for value in values)
        lines.append(f'    __asm__ volatile(".ascii \\"-> {label} {places}\\"" : : {operands});')
    lines.append("}\n")
    return "\n".join(lines)


def layout(compiler):
    items = []
    seen = set()
    for name in HEADERS:
        header = c_header.parse(c_header.INCLUDE / "puna" / name, compiler[0])
        items += [item for item in expressions(header) if item[0] not in seen]
        seen.update(item[0] for item in items)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "layout.c"
        path.write_text(source(items))
        command = [*compiler, "-std=gnu11", "-ffreestanding", "-O1", "-fno-pic", "-S", "-o", "-",
                   "-I", str(c_header.INCLUDE), str(path)]
        assembly = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    lines = re.findall(r'\.ascii\s+"-> (.*)"', assembly)
    if len(lines) != len(items):
        raise c_header.HeaderError(f"asked for {len(items)} lines, got {len(lines)}")
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", type=pathlib.Path)
    parser.add_argument("compiler", nargs="+")
    arguments = parser.parse_args()
    if arguments.check and not shutil.which(arguments.compiler[0]):
        print(f"{arguments.compiler[0]} is not installed")
        return 77
    lines = layout(arguments.compiler)
    if not arguments.check:
        print("\n".join(lines))
        return 0
    golden = arguments.check.read_text().splitlines()
    diff = list(difflib.unified_diff(golden, lines, arguments.check.name,
                                     " ".join(arguments.compiler), lineterm="", n=0))
    print("\n".join(diff) if diff else f"{len(lines)} lines agree")
    return int(bool(diff))


if __name__ == "__main__":
    sys.exit(main())
