"""Answer with the words of the documents: the sentences that fit a question best, as they stand."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fucina.metrics.wording import SHORT_FORMS
from fucina.records import Hit
from fucina.retrieval.embedding import Embedder
from fucina.retrieval.interface import Finder

__all__ = ["Quote", "quote", "sentences"]

# A sentence ends with a sign and a blank before a new beginning; a line of a list by itself.
END = re.compile(
    r"(?<=[.!?…»”\"])\s+(?=[\"«“(\[*_]*[A-ZÀ-ÖØ-Þ0-9])|\n\s*\n|\n(?=\s*(?:[-*+|>]|\d+[.)])\s)"
)
OF_CHUNK = 0.5  # weight of the chunk's own score: a little better than 0 on the persona's questions
NEAR = 0.9  # of the best sentence's score, which a second one must reach


@dataclass(frozen=True)
class Quote:
    """A sentence of a document.

    Attributes:
        text: As it stands there, line ends as blanks.
        hit: Number of the hit it is from, from 0.
        place: Its own line, page, paragraph or row.
        score: How well it fits, by which quotes are sorted.
    """

    text: str
    hit: int
    place: int
    score: float


def sentences(text: str) -> list[tuple[int, str]]:
    r"""Sentences and where they begin; the lines of a list, table or code are one each.

    Example:
        >>> sentences("Il dott. Rossi c'è. E Anna? \n- lunedì\n- martedì")
        [(0, "Il dott. Rossi c'è."), (20, 'E Anna?'), (29, '- lunedì'), (38, '- martedì')]
    """
    found: list[tuple[int, str]] = []
    begin = 0
    cuts = [*(match.span() for match in END.finditer(text)), (len(text), len(text))]
    for stop, following in cuts:
        if SHORT_FORMS.search(text[begin:stop]) and following < len(text):
            continue
        part = text[begin:stop]
        if part.strip():
            found.append((begin + len(part) - len(part.lstrip()), part.strip()))
        begin = following
    return found


def quote(
    question: str, hits: Sequence[Hit], searcher: Finder, embedder: Embedder, *, most: int = 2
) -> list[Quote]:
    """The sentences of what was found that fit a question best, best first.

    Args:
        question: In words.
        hits: What was found for it.
        searcher: Knows how rare words are.
        embedder: Of the index.
        most: Sentences at most; a second one has to be nearly as good as the first.
    """
    parts = [(n, at, text) for n, hit in enumerate(hits) for at, text in sentences(hit.chunk.text)]
    parts = [part for part in parts if re.search(r"\w", part[2])]
    if not parts:
        return []
    asked = embedder.questions([question])[0]
    # The heading says what a sentence is about, which it mostly does not repeat.
    headed = [" › ".join([*hits[n].chunk.headings[-2:], text]) for n, _, text in parts]
    nearness = embedder.passages(headed) @ asked
    covered = searcher.coverage(question, headed)
    found_for = np.array([hits[n].score for n, _, _ in parts])
    scores = nearness + covered + OF_CHUNK * found_for
    order = np.argsort(-scores, kind="stable")[:most].tolist()
    best = scores[order[0]]
    found = []
    for row in order:
        number, at, text = parts[row]
        chunk = hits[number].chunk
        line = chunk.first
        if hits[number].unit == "line":
            line = min(chunk.last, chunk.first + chunk.text.count("\n", 0, at))
        if scores[row] >= NEAR * best:
            found.append(Quote(" ".join(text.split()), number, line, float(scores[row])))
    return found
