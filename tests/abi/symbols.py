#!/usr/bin/env python3
"""The golden list of exported names: lines "<version node> <name>".

  symbols.py          prints the list that puna.h asks for; a name keeps the node it has
  symbols.py --check  fails when tests/abi/symbols.txt is another one
"""

import re
import sys

import c_header

GOLDEN = c_header.HERE / "symbols.txt"
PUNA_H = c_header.INCLUDE / "puna" / "puna.h"


def current_node():
    """PUNA_0 until the first promise, then one node per minor version."""
    numbers = dict(re.findall(r"^#define PUNA_(\w+) +(\d+)", PUNA_H.read_text(), re.MULTILINE))
    abi = numbers["ABI_VERSION"]
    return "PUNA_0" if abi == "0" else f"PUNA_{abi}.{numbers['VERSION_MINOR']}"


def golden_nodes():
    lines = GOLDEN.read_text().splitlines() if GOLDEN.exists() else []
    return {name: node for node, name in (line.split() for line in lines)}


def wanted(compiler):
    nodes = golden_nodes()
    names = sorted(c_header.parse(PUNA_H, compiler).functions)
    return [f"{nodes.get(name, current_node())} {name}" for name in names]


def main():
    lines = wanted("cc")
    if "--check" not in sys.argv:
        print("\n".join(lines))
        return 0
    golden = [f"{node} {name}" for name, node in golden_nodes().items()]
    for line in sorted(set(lines) ^ set(golden)):
        where = "puna.h only" if line in lines else "symbols.txt only"
        print(f"{line}: in {where} (tests/abi/update.sh writes the list)")
    return int(lines != golden)


if __name__ == "__main__":
    sys.exit(main())
