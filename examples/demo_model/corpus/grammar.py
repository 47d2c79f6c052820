"""Stories from plots: text files of sections, each with alternative sentences.

A plot file has any number of plots. A plot begins with `=== title`, then lines `key: value`, then
sections. A section begins with `---` (`--- 40%`: told in 40 of 100 stories; `--- par`: begins a
paragraph) and has one alternative per line beginning with `- `; indented lines go on with it.
Before the first plot, `@name = a | b | c` defines a list of words. In an alternative stand

    [a|b|c]     one of these, drawn anew each time; may be empty, may be nested
    {hero}      a property of the story's world, the same all through (world.py); {Hero}: a capital
    <soon>      a word of a list, drawn anew each time

"a" becomes "an" where it must, and sentences begin with capitals, by themselves. After a question
or an exclamation in quotes the next word keeps its case: there the plot writes {He} or {he}.
"""

import dataclasses
import pathlib
import re

FOLDER = pathlib.Path(__file__).parent / "stories"
INNERMOST = re.compile(r"\[([^\[\]]*)\]")
PROPERTY = re.compile(r"\{(\w+)\}")
LIST_WORD = re.compile(r"<(\w+)>")
AN = re.compile(r"\b([Aa]) (?=[aeiou])(?!uni|one\b|once\b|use|eu|ute)")
SILENT_H = re.compile(r"\b([Aa]) (?=hour|honest)")
BEGINNING = re.compile(r'(^|[.!?] |\." |: "|\n)("?)([a-z])')


@dataclasses.dataclass
class Section:
    percent: int
    begins_paragraph: bool
    alternatives: list


@dataclasses.dataclass
class Plot:
    title: str
    subject: str  # creature, object or landmark
    sections: list


class Grammar:
    def __init__(self, paths=None):
        self.lists = {}
        self.plots = []
        for path in paths or sorted(FOLDER.glob("*.txt")):
            self._read(pathlib.Path(path))

    def _read(self, path):
        plot = None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                plot = self._read_line(line, plot)
            except (ValueError, AttributeError, IndexError, AssertionError) as error:
                raise ValueError(f"{path}:{number}: {error}: {line}") from None

    def _read_line(self, line, plot):
        if not line.strip() or line.startswith("#"):
            return plot
        if line.startswith("@"):
            name, words = line[1:].split("=", 1)
            known = self.lists.setdefault(name.strip(), [])
            known.extend(word.strip() for word in words.split("|"))
        elif line.startswith("==="):
            plot = Plot(line[3:].strip(), "", [])
            self.plots.append(plot)
        elif line.startswith("---"):
            words = line[3:].split()
            percent = next((int(word[:-1]) for word in words if word.endswith("%")), 100)
            plot.sections.append(Section(percent, "par" in words, []))
        elif line.startswith("- "):
            assert line.count("[") == line.count("]"), "brackets that do not match"
            plot.sections[-1].alternatives.append(line[2:].strip())
        elif line.startswith(" "):
            plot.sections[-1].alternatives[-1] += " " + line.strip()
        else:
            key, value = line.split(":", 1)
            assert key == "subject", "a key other than 'subject'"
            plot.subject = value.strip()
        return plot

    def expand(self, text, world, random):
        """One sentence or more, without the finishing touches of `polished`."""
        while (match := INNERMOST.search(text)) is not None:
            text = text[:match.start()] + random.choice(match[1].split("|")) + text[match.end():]
        text = LIST_WORD.sub(lambda match: self.expand(random.choice(self.lists[match[1]]), world,
                                                       random), text)
        return PROPERTY.sub(lambda match: world[match[1]], text)

    def tell(self, plot, world, random):
        """The story of a plot, without opening."""
        text = ""
        for section in plot.sections:
            if random.randrange(100) >= section.percent:
                continue
            text += ("\n\n" if section.begins_paragraph else " ") if text else ""
            text += self.expand(random.choice(section.alternatives), world, random)
        return text


def articles(text):
    """"an" where "a" cannot stand."""
    return SILENT_H.sub(r"\1n ", AN.sub(r"\1n ", text))


def polished(text):
    """Single spaces, "an" before vowels, capitals at the beginning of sentences."""
    text = re.sub(r" +", " ", text).replace(" ,", ",").replace(" .", ".")
    text = re.sub(r" *\n *", "\n", text)
    text = articles(text)
    text = BEGINNING.sub(lambda match: match[1] + match[2] + match[3].upper(), text)
    return text.strip()
