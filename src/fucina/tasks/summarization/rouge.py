"""ROUGE as the library `rouge-score` computes it with stemming, to the last digit.

The library itself is not used: it has had no release since 2022 and brings NLTK for its stemmer.
Source: Lin, 2004, https://aclanthology.org/W04-1013/;
https://github.com/google-research/google-research/tree/master/rouge
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from fucina.tasks.summarization.porter import stem

__all__ = ["latin_tokens", "letter_tokens", "rouge"]

Tokens = Callable[[str], list[str]]


def latin_tokens(text: str) -> list[str]:
    """Stems of the runs of a-z and 0-9, as the library finds them: an accent ends a word.

    Example:
        >>> latin_tokens("Perché la città dorme?")
        ['perch', 'la', 'citt', 'dorm']
    """
    return _stems(re.findall("[a-z0-9]+", text.lower()))


def letter_tokens(text: str) -> list[str]:
    """The same with the letters and digits of every alphabet.

    Example:
        >>> letter_tokens("Perché la città dorme?")
        ['perché', 'la', 'città', 'dorm']
    """
    return _stems(re.findall(r"[^\W_]+", text.lower()))


def _stems(words: Sequence[str]) -> list[str]:
    stems = [stem(word) if len(word) > 3 else word for word in words]
    return [found for found in stems if found]


def rouge(answer: str, target: str, tokens: Tokens = latin_tokens) -> dict[str, float]:
    """F1 of words, of pairs of words, and of the longest common sequence, of a text and of lines.

    Args:
        answer: What was written.
        target: The true text.
        tokens: Finds the words of a text.

    Returns:
        rouge1, rouge2, rougeL and rougeLsum in 0..1. Of rougeLsum each line is a sentence.

    Example:
        >>> found = rouge("The cat sat.", "The cat was sitting.")
        >>> {name: round(value, 3) for name, value in found.items()}
        {'rouge1': 0.571, 'rouge2': 0.4, 'rougeL': 0.571, 'rougeLsum': 0.571}
    """
    said, true = tokens(answer), tokens(target)
    found = {f"rouge{n}": _pairs(_ngrams(said, n), _ngrams(true, n)) for n in (1, 2)}
    found["rougeL"] = _f1(len(_common(true, said)), len(said), len(true))
    lines = [[tokens(line) for line in text.split("\n")] for text in (answer, target)]
    found["rougeLsum"] = _f1(_union(*lines), len(said), len(true))
    return found


def _f1(hits: int, said: int, true: int) -> float:
    return 2 * hits / (said + true) if hits else 0.0


def _ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[begin:] for begin in range(n)), strict=False))


def _pairs(said: Counter[tuple[str, ...]], true: Counter[tuple[str, ...]]) -> float:
    return _f1((said & true).total(), said.total(), true.total())


def _union(said: Sequence[Sequence[str]], true: Sequence[Sequence[str]]) -> int:
    """Words of the true lines that are in common with some line; each word said counts once."""
    left = Counter(word for line in said for word in line)
    hits = 0
    for line in true:
        for place in sorted({place for other in said for place in _common(line, other)}):
            if left[line[place]] > 0:
                left[line[place]] -= 1
                hits += 1
    return hits


def _common(true: Sequence[str], said: Sequence[str]) -> list[int]:
    """Places in `true` of a longest common sequence; of several the one that the library takes."""
    lengths = [[0] * (len(said) + 1)]
    for word in true:
        above, row = lengths[-1], [0]
        for place, other in enumerate(said):
            row.append(above[place] + 1 if word == other else max(above[place + 1], row[-1]))
        lengths.append(row)
    places = []
    i, j = len(true), len(said)
    while i and j:
        if true[i - 1] == said[j - 1]:
            i, j = i - 1, j - 1
            places.append(i)
        elif lengths[i][j - 1] > lengths[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return places
