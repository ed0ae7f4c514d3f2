"""Duplicates: lines that come back, books told twice, pages that are nearly the same."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np

__all__ = [
    "LEAK",
    "SAME",
    "RepeatedLines",
    "frequent_lines",
    "same_book",
    "similar_pairs",
    "without_duplicates",
]

SAME = 0.7  # of the runs of words that two texts have: from here on one of them goes
LEAK = 0.5  # from here on a training text is too near to a held-out one
BANDS, ROWS = 50, 4  # a pair at 0.5 is found with 96 %, at 0.7 with 99.999 %
COMPARED = 30  # texts of a bucket that the others are compared with
BATCH = 2000
TWICE = 0.2  # of a book's sentences that an earlier book has: an edition of the same book
SAMPLED = re.compile(r"[.!?] ([AIT][^.!?]{50,200})(?=[.!?])")
SIGNS = re.compile(r"[\W\d_]+")


def _key(text: str) -> bytes:
    """The letters of a text, so that numbers, case and punctuation make no difference."""
    return blake2b(SIGNS.sub("", text.casefold()).encode(), digest_size=8).digest()


class RepeatedLines:
    r"""Remembers the lines of all documents so far, and drops those that come again.

    Args:
        shortest: Characters from which on a line counts; short ones such as "Sì." come back.

    Example:
        >>> lines = RepeatedLines(shortest=5)
        >>> lines.drop("Salvare il file.\nOk"), lines.drop("Salvare il file!\nOk\nUscire.")
        ('Salvare il file.\nOk', 'Ok\nUscire.')
        >>> lines.count
        1
    """

    def __init__(self, *, shortest: int) -> None:
        self.shortest = shortest
        self.count = 0
        self._seen: set[bytes] = set()

    def drop(self, text: str) -> str:
        """The text without the lines that an earlier one, or it itself, had already."""
        kept = []
        for line in text.split("\n"):
            if len(line) >= self.shortest:
                key = _key(line)
                if key in self._seen:
                    self.count += 1
                    continue
                self._seen.add(key)
            kept.append(line)
        return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def frequent_lines(texts: Iterable[str], *, documents: int) -> set[str]:
    """Lines that stand in at least so many documents: boilerplate of the site."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update({line for line in text.split("\n") if line})
    return {line for line, count in counts.items() if count >= documents}


def same_book(books: Sequence[tuple[str, str]]) -> set[str]:
    """The ids of books of which an earlier one has a fifth of the longer sentences.

    Sentences that begin with A, I or T speak for all: the same ones are taken of every edition.
    """
    owner: dict[bytes, int] = {}
    twice = set()
    for number, (name, text) in enumerate(books):
        keys = {_key(found[1]) for found in SAMPLED.finditer(text)}
        shared = Counter(owner[key] for key in keys if key in owner)
        if shared and shared.most_common(1)[0][1] > TWICE * len(keys):
            twice.add(name)
            continue
        for key in keys:
            owner.setdefault(key, number)
    return twice


def _shingles(text: str) -> list[str]:
    """Runs of five words; of two in a short text, where one word makes a great difference."""
    words = re.findall(r"\w+", text.casefold())
    run = 5 if len(words) > 60 else 2
    return sorted({" ".join(words[i : i + run]) for i in range(max(1, len(words) - run + 1))})


def similar_pairs(texts: Sequence[str]) -> list[tuple[int, int, float]]:
    """Pairs of texts that share at least half of their runs of words, by MinHash with banding.

    The similarity is the share of equal values of two signatures of 200, which errs by 0.03.

    Returns:
        Places of the earlier and the later text, and the similarity, 0.5 to 1.
    """
    from rensa import RMinHash

    width = BANDS * ROWS
    digests: list[list[int]] = []
    for begin in range(0, len(texts), BATCH):
        sets = [_shingles(text) for text in texts[begin : begin + BATCH]]
        digests += RMinHash.digests_from_token_sets(sets, width, 7)
    table = np.array(digests, dtype=np.uint32).reshape(len(texts), width)
    found: dict[tuple[int, int], float] = {}
    for begin in range(0, width, ROWS):
        buckets: defaultdict[bytes, list[int]] = defaultdict(list)
        for place, band in enumerate(np.ascontiguousarray(table[:, begin : begin + ROWS])):
            buckets[band.tobytes()].append(place)
        for members in buckets.values():
            rest = np.array(members)
            for _ in range(min(COMPARED, len(members) - 1)):
                head, rest = int(rest[0]), rest[1:]
                alike = (table[rest] == table[head]).mean(axis=1)
                near = alike >= LEAK
                found.update(
                    ((head, int(other)), float(share))
                    for other, share in zip(rest[near], alike[near], strict=True)
                )
                # What equals the head needs no second comparison.
                rest = rest[alike < 0.95]
                if len(rest) < 2:
                    break
    return sorted((one, other, share) for (one, other), share in found.items())


def without_duplicates(count: int, pairs: Iterable[tuple[int, int, float]]) -> set[int]:
    """The places to drop so that no two texts left are the same by `SAME`; the first one stays.

    Example:
        >>> without_duplicates(3, [(0, 1, 0.9), (1, 2, 0.8)])
        {1}
    """
    before: defaultdict[int, list[int]] = defaultdict(list)
    for one, other, share in pairs:
        if share >= SAME:
            before[other].append(one)
    dropped: set[int] = set()
    for place in range(count):
        if any(earlier not in dropped for earlier in before[place]):
            dropped.add(place)
    return dropped
