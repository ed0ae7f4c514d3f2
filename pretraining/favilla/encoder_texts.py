"""What an encoder of two languages learns from: sentences, translations, a lexicon."""

import random
import re
from pathlib import Path

from corpus_sources import read_tar
from corpus_tasks import tldr_page

from fucina.pretrain.corpus import documents

__all__ = ["Lexicon", "sentences", "translations", "written"]

END = re.compile(r"(?<=[.!?;:])\s+|\n+")
LEAST, MOST = 3, 60  # words of a sentence
WORD = re.compile(r"\w+(?:'\w+)?|\W")
PHRASE = 3  # words of English that one of Italian says, at most


def sentences(folder: Path, names: tuple[str, ...], each: int, seed: int) -> list[str]:
    """Sentences of files, as many of each, drawn from all of it.

    Args:
        folder: Of the corpus.
        names: Its files, without their ending.
        each: Of a file, at most.
        seed: Of the draw.
    """
    found: list[str] = []
    generator = random.Random(seed)
    for name in names:
        own = [
            sentence.strip()
            for text in documents(folder / f"{name}.jsonl.xz")
            for sentence in END.split(text)
            if LEAST <= len(sentence.split()) <= MOST
        ]
        own = list(dict.fromkeys(own))
        found += generator.sample(own, min(each, len(own)))
    generator.shuffle(found)
    return found


def translations(archive: Path) -> list[tuple[str, str]]:
    """Italian and English sentences of tldr pages that say the same: those of one command."""
    pages = {name: tldr_page(text) for name, text in read_tar(archive)}
    found = []
    for name, (_, about, examples) in pages.items():
        english = pages.get(name.replace("pages.it/", "pages/"))
        if not name.startswith("pages.it/") or english is None:
            continue
        found.append((about, english[1]))
        said = {_plain(command): text for text, command in english[2]}
        found += [(text, said[_plain(c)]) for text, c in examples if _plain(c) in said]
    return [(italian, english) for italian, english in found if italian and english]


def _plain(command: str) -> str:
    """A command without its paths and names, which are translated too."""
    return " ".join(word for word in command.split() if word.startswith("-")) or command.split()[0]


def written(folder: Path) -> list[tuple[str, str]]:
    """The pairs that were written for this: a file of a domain, a line of Italian TAB English."""
    found = []
    for path in sorted(folder.glob("*.tsv")):
        if path.name != "words.tsv":
            lines = path.read_text(encoding="utf-8").splitlines()
            found += [(italian, english) for italian, english in (x.split("\t") for x in lines)]
    return found


class Lexicon:
    """Italian word forms and what they are in English.

    Args:
        path: A line of form TAB English each.
    """

    def __init__(self, path: Path) -> None:
        rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        self.english = {form.lower(): english for form, english in rows}
        self.italian: dict[str, list[str]] = {}
        for form, english in rows:
            said = re.sub(r"^(to|the|a|an|i|you|he|we|they) (?=\w)", "", english.lower())
            self.italian.setdefault(said, []).append(form)

    def mixed(self, text: str, share: float, generator: random.Random) -> str:
        """An English sentence with some of its words in Italian; their order stays English.

        As in code-switched fine-tuning (Qin et al. 2020): the sentence means what it meant.
        """
        parts, out, at = WORD.findall(text), [], 0
        while at < len(parts):
            for size in range(2 * PHRASE - 1, 0, -2):  # spaces are parts too
                forms = self.italian.get("".join(parts[at : at + size]).lower())
                if forms and generator.random() < share:
                    out.append(generator.choice(forms))
                    at += size
                    break
            else:
                out.append(parts[at])
                at += 1
        return "".join(out)
