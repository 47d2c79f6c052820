"""Reads the declarations of a public C header: constants, structs and functions.

The header goes through the C preprocessor with empty stand-ins for the standard headers, so what
is parsed is our own declarations alone. They keep to a small part of C (docs/abi.md); anything
outside it is an error here, not a guess.
"""

import pathlib
import re
import subprocess
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
INCLUDE = HERE.parent.parent / "include"


class HeaderError(Exception):
    pass


@dataclass
class Header:
    constants: list = field(default_factory=list)  # names, in the order of the header
    structs: dict = field(default_factory=dict)  # name -> member names
    functions: list = field(default_factory=list)


def preprocess(path, compiler, *options):
    command = [compiler, "-E", "-P", "-w", "-nostdinc", "-I", str(HERE / "stubs"), "-I", str(INCLUDE),
               "-D__attribute__(x)=", "-D__declspec(x)=", "-D__cdecl=", *options, str(path)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def macro_constants(path, compiler):
    """Names of the macros that stand for an integer, but for the version, in alphabetical order."""
    text = preprocess(path, compiler, "-dM")
    integer = r"\(?-?(?:0x[0-9a-fA-F]+|\d+)[uUlL]*\)?"
    return sorted(re.findall(rf"^#define (PUNA_(?!VERSION_)\w+) {integer}$", text, re.MULTILINE))


def split_top(text, separator):
    """Splits at a separator that stands outside all brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        if c in "({[":
            depth += 1
        elif c in ")}]":
            depth -= 1
        elif c == separator and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def member_names(body):
    names = []
    for member in split_top(body, ";"):
        if re.search(r"[{}:]", member):
            raise HeaderError(f"nested type or bit-field: {member}")
        for declarator in split_top(member, ","):
            match = (re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(", declarator)
                     or re.search(r"(\w+)\s*(?:\[[^]]*\]\s*)*$", declarator))
            if not match:
                raise HeaderError(f"cannot read member: {member}")
            names.append(match.group(1))
    return names


def add_declaration(header, text):
    match = re.fullmatch(r"(typedef )?(struct|enum) ?(\w+)? ?\{(.*)\} ?(\w+)?", text)
    if match:
        typedef, kind, tag, body, name = match.groups()
        if kind == "enum":
            header.constants += [part.split("=")[0].strip() for part in split_top(body, ",")]
        elif typedef and name:
            header.structs[name] = member_names(body)
        else:
            header.structs[f"struct {tag}"] = member_names(body)
        return
    if text.startswith("typedef "):
        return
    match = re.match(r"[\w\s*]*?\b(puna_\w+) ?\(", text)
    if match:
        header.functions.append(match.group(1))
    elif not re.fullmatch(r"struct \w+", text):
        raise HeaderError(f"cannot read declaration: {text}")


def parse(path, compiler="cc"):
    header = Header()
    text = " ".join(preprocess(path, compiler).split())
    for declaration in split_top(text, ";"):
        add_declaration(header, declaration)
    header.constants += macro_constants(path, compiler)
    for name, members in header.structs.items():
        if len(set(members)) != len(members):
            raise HeaderError(f"{name}: a member was read twice")
    return header
