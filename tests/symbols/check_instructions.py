#!/usr/bin/env python3
"""No instruction beyond the first x86-64 processors outside the kernels that are chosen at run time.

  check_instructions.py --plain FILE... --kernels OBJECT... [--linked FILE...]

--plain    objects and programs that every processor must run
--kernels  objects of kernel sets, which must need more: else this check sees nothing
--linked   libraries that hold both: what is beyond must stand in functions of those objects

What is beyond, the assembler decides: it is asked to assemble what objdump shows, for the plain
architecture. A function of the same name as a kernel's would hide from --linked, but not from
--plain.
"""

import argparse
import collections
import re
import subprocess
import sys

# What older processors run as something that does the same here: a long nop, written by objdump
# with more prefixes than the assembler takes; a mark for jumps; "rep bsf", shown as tzcnt, which
# compilers write where zero cannot occur.
HARMLESS = re.compile(r"((data16|cs) )*nop[wl]|endbr64|tzcnt")
# Asks which registers the system saves, after CPUID has said that the instruction is there.
DETECTION = re.compile(r"xgetbv")
DETECTION_FUNCTION = re.compile(r"detect_cpu_features|read_xcr0")


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def instructions(tools, path):
    """For each instruction of the file the functions that it stands in."""
    found = collections.defaultdict(set)
    function = ""
    for line in output(tools.objdump, "-dw", "--no-show-raw-insn", path).splitlines():
        if label := re.fullmatch(r"[0-9a-f]+ <(.*)>:", line):
            function = label[1]
        elif code := re.match(r" *[0-9a-f]+:\s+(\S.*?)\s*(<|#|$)", line):
            # Numbers tell nothing, and jumps to addresses do not assemble again.
            text = re.sub(r"-?0x[0-9a-f]+", "1", code[1])
            if not re.match(r"((bnd|notrack|rex\S*|data16|cs|ds|es) )*(j|call|loop|xbegin)", text):
                found[text].add(function)
    return found


def beyond(tools, texts):
    """Those that the assembler refuses for the plain architecture."""
    texts = sorted(texts)
    result = subprocess.run([tools.assembler, "--64", "-march=generic64", "-o", "/dev/null", "-"],
                            input="\n".join(texts) + "\n", stderr=subprocess.PIPE, text=True)
    lines = re.findall(r":(\d+): Error:", result.stderr)
    return {texts[int(line) - 1] for line in lines}


def beyond_in(tools, path):
    """The functions of the file that need more than the plain architecture, and for what."""
    found = instructions(tools, path)
    functions = collections.defaultdict(list)
    for text in beyond(tools, found):
        for function in found[text]:
            detects = DETECTION.match(text) and DETECTION_FUNCTION.search(function)
            if not detects and not HARMLESS.match(text):
                functions[function].append(text)
    return functions


def functions_of(tools, objects):
    names = (line.split() for line in output(tools.nm, "--defined-only", *objects).splitlines())
    return {words[2] for words in names if len(words) == 3 and words[1] in "tT"}


def problems(tools):
    for path in tools.kernels:
        if not beyond_in(tools, path):
            yield f"{path}: a kernel without an instruction of its own; does this check see any?"
    kernels = functions_of(tools, tools.kernels)
    for path in tools.plain + tools.linked:
        functions = beyond_in(tools, path)
        hidden = kernels if path in tools.linked else set()
        # GCC splits functions: name.cold, name.part.0
        found = {name: texts for name, texts in functions.items()
                 if name not in hidden and name.partition(".")[0] not in hidden}
        for name, texts in sorted(found.items()):
            yield f"{path}: {name}: {texts[0]}"
        if path in tools.linked and not functions:
            yield f"{path}: none of the kernels is in it"


def main():
    parser = argparse.ArgumentParser()
    for kind in ("plain", "kernels", "linked"):
        parser.add_argument(f"--{kind}", nargs="+", default=[])
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--objdump", default="objdump")
    parser.add_argument("--assembler", default="as")
    found = list(problems(parser.parse_args()))
    print("\n".join(found) if found else "instructions: ok")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
