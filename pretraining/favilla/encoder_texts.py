"""What an encoder for two languages learns from: sentences, pages that are translated, crops."""

import random
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from corpus_sources import read_tar
from corpus_tasks import tldr_page

from fucina.pretrain.corpus import documents

__all__ = ["crops", "sentences", "translations"]

END = re.compile(r"(?<=[.!?;:])\s+|\n+")
LEAST, MOST = 3, 60  # words of a sentence
CROP = (4, 32)  # words


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


def crops(folder: Path, names: tuple[str, ...], seed: int) -> Iterator[tuple[str, str]]:
    """Two stretches of one passage, again and again; what they share is what it is about.

    As in Contriever (Izacard et al. 2022): each is a run of words of the passage, drawn alone.
    """
    generator = random.Random(seed)
    passages = [
        block.split()
        for name in names
        for text in islice(documents(folder / f"{name}.jsonl.xz"), 6000)
        for block in _blocks(text)
    ]
    while True:
        generator.shuffle(passages)
        for words in passages:
            yield _crop(words, generator), _crop(words, generator)


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs of a text, short ones joined."""
    held = ""
    for line in text.split("\n"):
        held = f"{held} {line}".strip()
        if len(held.split()) >= CROP[1]:
            yield held
            held = ""


def _crop(words: list[str], generator: random.Random) -> str:
    length = generator.randint(*CROP)
    words = words[: 4 * CROP[1]]
    first = generator.randint(0, max(0, len(words) - length))
    kept = [word for word in words[first : first + length] if generator.random() > 0.1]
    return " ".join(kept or words[first : first + 1])
