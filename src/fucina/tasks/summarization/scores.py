"""How near a summary is to the true one, and what it is like: long, copied, repeating."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from fucina.metrics import mean_of
from fucina.records import Example, Ratio
from fucina.tasks.summarization.rouge import letter_tokens, rouge

__all__ = ["scores"]

NAMES = ("rougeL", "rouge1", "rouge2", "rougeLsum")
ACCENTED = ("rougeL", "rouge1")  # also counted with the letters that the library drops


def scores(answers: Sequence[str], rows: Sequence[Example]) -> Mapping[str, Ratio]:
    r"""ROUGE of each row, and what summaries are like beside their dialogues.

    rougeL, rouge1, rouge2, rougeLsum: means of F1, as the library `rouge-score` with stemming.
    rougeL_accents, rouge1_accents: the same with every alphabet's letters.
    length_ratio: words of the answers, divided by words of the true summaries.
    copy_rate: share of their runs of three words that the dialogues have too.
    novel_words, novel_bigrams: share of words, and of pairs of words, that the dialogues lack.
    repeated_trigrams: share of runs of three words that the same summary has had before.

    Args:
        answers: n summaries as a model wrote them.
        rows: The n dialogues with their true summaries.

    Example:
        >>> from fucina.metrics import value_of
        >>> row = Example("Ada: vieni a cena da noi?\nUgo: sì", "Ugo va a cena da Ada.")
        >>> found = scores(["Ugo vieni a cena da Ada."], [row])
        >>> {name: round(value_of(ratio), 2) for name, ratio in list(found.items())[:3]}
        {'rougeL': 0.83, 'rouge1': 0.83, 'rouge2': 0.6}
        >>> round(value_of(found["copy_rate"]), 2), value_of(found["novel_words"])
        (0.5, 0.0)
    """
    pairs = [(answer, row.target) for answer, row in zip(answers, rows, strict=True)]
    plain = [rouge(*pair) for pair in pairs]
    whole = [rouge(*pair, letter_tokens) for pair in pairs]
    near = {name: mean_of([own[name] for own in plain]) for name in NAMES}
    near |= {f"{name}_accents": mean_of([own[name] for own in whole]) for name in ACCENTED}
    return near | _like(answers, rows)


def _like(answers: Sequence[str], rows: Sequence[Example]) -> dict[str, Ratio]:
    said = [_words(answer) for answer in answers]
    source = [_words(row.prompt) for row in rows]
    true = [_words(row.target) for row in rows]
    return {
        "length_ratio": _describe(
            [(len(own), len(other)) for own, other in zip(said, true, strict=True)]
        ),
        "copy_rate": _describe([_shared(a, b, 3) for a, b in zip(said, source, strict=True)]),
        "novel_words": _describe([_novel(a, b, 1) for a, b in zip(said, source, strict=True)]),
        "novel_bigrams": _describe([_novel(a, b, 2) for a, b in zip(said, source, strict=True)]),
        "repeated_trigrams": _describe([_repeated(own, 3) for own in said]),
    }


def _describe(counts: Sequence[tuple[int, int]]) -> Ratio:
    above, below = np.array(counts, dtype=float).reshape(-1, 2).T
    return Ratio(above, below, descriptive=True)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def _ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[begin:] for begin in range(n)), strict=False))


def _shared(said: Sequence[str], source: Sequence[str], n: int) -> tuple[int, int]:
    known, own = set(_ngrams(source, n)), _ngrams(said, n)
    return sum(gram in known for gram in own), len(own)


def _novel(said: Sequence[str], source: Sequence[str], n: int) -> tuple[int, int]:
    shared, all_of_them = _shared(said, source, n)
    return all_of_them - shared, all_of_them


def _repeated(said: Sequence[str], n: int) -> tuple[int, int]:
    own = _ngrams(said, n)
    return len(own) - len(set(own)), len(own)
