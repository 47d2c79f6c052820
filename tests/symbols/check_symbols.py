#!/usr/bin/env python3
"""Looks at the symbols of what was built.

  check_symbols.py exports LIBRARY   the shared library exports the names of symbols.txt, no other
  check_symbols.py plugin LIBRARY    a backend plugin exports its entry, no other name
  check_symbols.py imports LIBRARY   it imports nothing that refused-imports.txt names
  check_symbols.py globals ARCHIVE   nothing in it runs before main or after it
  check_symbols.py kernels OBJECT... no weak symbol: the linker might pick an inline function that
                                     was compiled for a processor which the program does not have
"""

import argparse
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent / "abi" / "symbols.txt"


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def elf_exports(nm, library, no_node=""):
    """Lines "<version node> <name>", the version nodes themselves left out."""
    for line in output(nm, "-D", "--defined-only", library).splitlines():
        kind, name = line.split()[-2:]
        if kind != "A":
            name, _, node = name.partition("@")
            yield f"{node.strip('@') or no_node} {name}"


def pe_exports(objdump, library):
    table = output(objdump, "-p", library).partition("[Ordinal/Name Pointer] Table")[2]
    return re.findall(r"^\s+\[\s*\d+\].* (\w+)$", table.partition("\n\n")[0], re.MULTILINE)


def check_exports(tools, library):
    golden = GOLDEN.read_text().splitlines()
    if library.endswith(".dll"):
        found = list(pe_exports(tools.objdump, library))
        golden = [line.split()[1] for line in golden]
    else:
        found = list(elf_exports(tools.nm, library))
    for line in sorted(set(golden) - set(found)):
        yield f"{line}: in symbols.txt, not exported"
    for line in sorted(set(found) - set(golden)):
        yield f"{line}: exported, not in symbols.txt"


def check_plugin(tools, library):
    found = [name for _, name in (line.split() for line in elf_exports(tools.nm, library, "-"))]
    if found != ["puna_backend_entry"]:
        yield f"{library}: exports {', '.join(found) or 'nothing'}, not puna_backend_entry alone"


def check_imports(tools, library):
    lines = (HERE / "refused-imports.txt").read_text().splitlines()
    refused = [re.compile(line) for line in lines if line and not line.startswith("#")]
    imports = output(tools.nm, "-D", "--undefined-only", library).split("\n")
    names = [line.split()[-1].partition("@")[0] for line in imports if line.strip()]
    if not names:
        yield f"{library}: no imports found"
    for name in names:
        for pattern in refused:
            if pattern.fullmatch(name):
                yield f"{name}: imported, refused by '{pattern.pattern}'"


def check_globals(tools, archive):
    names = output(tools.nm, "-A", archive).splitlines()
    if not any(" T puna_" in name for name in names):
        yield f"{archive}: no code found"
    for name in names:
        if re.search(r"_GLOBAL__(sub_)?[ID]_|__cxx_global_var_init|__tls_init", name):
            yield f"{name}: a global with a constructor or destructor"


def check_kernels(tools, *objects):
    for path in objects:
        symbols = output(tools.nm, "--defined-only", path).splitlines()
        if not symbols:
            yield f"{path}: no symbols found"
        for symbol in symbols:
            kind, name = symbol.split()[-2:]
            if kind in "wWvVu":
                yield f"{path}: weak symbol {name}"


CHECKS = {"exports": check_exports, "plugin": check_plugin, "imports": check_imports,
          "globals": check_globals, "kernels": check_kernels}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("check", choices=CHECKS)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--objdump", default="objdump")
    arguments = parser.parse_args()
    problems = list(CHECKS[arguments.check](arguments, *arguments.files))
    print("\n".join(problems) if problems else f"{arguments.check}: ok")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
