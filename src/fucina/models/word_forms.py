"""The form of words: letters, capitals, neighbors; what a base that reads small letters cannot see.

An encoder without capitals reads `Giulia Ferri ha chiamato` as fragments of nothing, while
the capitals, the endings and the words beside a name still tell where it is. Measured before
adoption (docs/log.md).
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse

from fucina.models.lexical import MAX_NGRAMS, Lexicon

__all__ = ["form_rows", "forms", "learn_forms"]

ORDERS = (2, 3, 4)  # letters of the pieces of a word
FEWEST = 2  # words that a form must stand in
RUNS = re.compile(r"(.)\1+")
Bounds = Sequence[tuple[int, int]] | np.ndarray


def forms(text: str, bounds: Bounds) -> Iterator[list[str]]:
    """What can be said of each word of a text, one list a word.

    Example:
        >>> found = list(forms("A Roma", [(0, 1), (2, 6)]))[1]
        >>> [form for form in found if form[:2] in {"s=", "-1", "w="}]
        ['w=roma', 's=Xx', '-1 a', '-1s=X']
    """
    words = [text[begin:end] for begin, end in bounds]
    low = [word.lower() for word in words]
    looks = [_look(word) for word in words]
    for place, word in enumerate(low):
        found = [f"w={word}", f"s={looks[place]}"]
        marked = f"<{word}>"
        for size in ORDERS:
            found += [marked[i : i + size] for i in range(len(marked) - size + 1)]
        for step in (-2, -1, 1, 2):
            beside = place + step
            inside = 0 <= beside < len(words)
            found.append(f"{step:+} {low[beside] if inside else ''}")
            found.append(f"{step:+}s={looks[beside] if inside else ''}")
        last = looks[place - 1] if place else ""
        after = looks[place + 1] if place + 1 < len(words) else ""
        found.append(f"ss={last} {looks[place]} {after}")
        yield found


def _look(word: str) -> str:
    """Capitals, small letters, digits and signs; a run of one kind is written once.

    Example:
        >>> _look("Roma"), _look("FIAT"), _look("2024"), _look("McDonald")
        ('Xx', 'XX', '00', 'XxXx')
    """
    kinds = "".join(
        "X" if sign.isupper() else "x" if sign.isalpha() else "0" if sign.isdigit() else sign
        for sign in word
    )
    # Alone or with others: an initial is another thing than an abbreviation.
    return RUNS.sub(lambda run: run[1] * (1 if run[1] == "x" else 2), kinds)


def learn_forms(texts: Sequence[str], bounds: Sequence[Bounds]) -> Lexicon:
    """Collect the most frequent forms of the words of some texts."""
    counts: Counter[str] = Counter()
    for text, own in zip(texts, bounds, strict=True):
        for found in forms(text, own):
            counts.update(set(found))
    common = [form for form, count in counts.most_common(MAX_NGRAMS) if count >= FEWEST]
    return Lexicon(tuple(sorted(common)))


def form_rows(
    texts: Sequence[str], bounds: Sequence[Bounds], lexicon: Lexicon
) -> sparse.csr_matrix:
    """Which known forms each word has: 1 or 0, all words of all texts x v.

    Example:
        >>> form_rows(["A Roma"], [[(0, 1), (2, 6)]], Lexicon(("s=X", "s=Xx"))).toarray().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    index, columns, ends = lexicon.index, [], [0]
    for text, own in zip(texts, bounds, strict=True):
        for found in forms(text, own):
            known = {index[form] for form in found if form in index}
            columns += sorted(known)
            ends.append(len(columns))
    shape = (len(ends) - 1, len(lexicon.ngrams))
    return sparse.csr_matrix((np.ones(len(columns)), columns, ends), shape=shape)
