"""Texts that say almost the same in almost the same letters: near duplicates and their clusters."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from fucina.records import Dataset

__all__ = ["THRESHOLD", "clusters", "group_similar", "normalized", "similar", "trigrams"]

# Of trigrams of letters that two texts have, the share they have in common. At 0.7 a sentence of
# ten words with one word changed is a near duplicate, and one with two words changed is not.
THRESHOLD = 0.7
BANDS, ROWS = 40, 5  # a pair at the threshold is found with 99.94 %, at 0.75 with 99.998 %
SKETCH = 96  # values of a signature that are compared first: 0.5 of them for a pair at 0.7 is
LIKELY = 0.5  # four standard deviations away
COMPARED = 30  # texts of a bucket that the others are compared with; real buckets have few


def normalized(text: str) -> str:
    """The letters and digits of a text, without case, accents and punctuation.

    Example:
        >>> normalized("  Perché  NO?! ")
        'perche no'
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    # A text of signs alone, such as emoji or code, is compared as it is.
    return " ".join(re.findall(r"\w+", plain)) or " ".join(plain.split())


def similar(one: set[str], other: set[str]) -> float:
    """Jaccard similarity: the share of all trigrams that both have."""
    both = len(one & other)
    return both / (len(one) + len(other) - both)


def trigrams(text: str) -> set[str]:
    """The runs of three letters of a normalized text, its ends marked by a space."""
    padded = f" {text} "
    return {padded[begin : begin + 3] for begin in range(max(1, len(padded) - 2))}


def clusters(texts: Sequence[str]) -> np.ndarray:
    """Number the clusters of near duplicates: a pair above the threshold is in one of them.

    Candidates come from MinHash with banding (Broder 1997; Leskovec, Rajaraman, Ullman, chapter
    3), each is verified by the exact similarity, and pairs are joined to connected components.

    Args:
        texts: n texts, normalized.

    Returns:
        n numbers: the first row of each row's cluster.

    Example:
        >>> clusters(["dove e il mio ordine", "dove e il mio ordine ora", "ciao"]).tolist()
        [0, 0, 2]
    """
    from rensa import RMinHash  # pyrefly: ignore[missing-module-attribute]

    sets = [trigrams(text) for text in texts]
    digests = RMinHash.digests_from_token_sets([sorted(s) for s in sets], BANDS * ROWS, 7)
    table = np.array(digests, dtype=np.uint32).reshape(len(texts), BANDS * ROWS)
    sketches = (table[:, :SKETCH] & 0xFFFF).astype(np.uint16)
    known: dict[tuple[int, int], bool] = {}
    for begin in range(0, BANDS * ROWS, ROWS):
        for bucket in _buckets(table[:, begin : begin + ROWS]):
            rest = bucket
            for _ in range(min(COMPARED, len(bucket) - 1)):
                head, rest = int(rest[0]), rest[1:]
                likely = (sketches[rest] == sketches[head]).mean(axis=1) >= LIKELY
                joined = np.zeros(len(rest), dtype=bool)
                for place in np.flatnonzero(likely):
                    pair = head, int(rest[place])
                    if pair not in known:
                        known[pair] = similar(sets[pair[0]], sets[pair[1]]) >= THRESHOLD
                    joined[place] = known[pair]
                rest = rest[~joined]
                if len(rest) < 2:
                    break
    pairs = np.array([pair for pair, same in known.items() if same], dtype=int).reshape(-1, 2)
    return _first_of_component(pairs, len(texts))


def group_similar(rows: Dataset) -> Dataset:
    """Give near duplicates one group, so that they stay on one side of every split.

    Rows that share a group already and rows that are alike end in the same group.

    Example:
        >>> from fucina.records import Example
        >>> rows = Dataset("a", (Example("Ciao!", "x"), Example("ciao", "x"), Example("no", "y")))
        >>> [example.group for example in group_similar(rows).examples]
        ['~0', '~0', '']
    """
    found = clusters([normalized(prompt) for prompt in rows.prompts])
    parent = {f"~{number}": f"~{number}" for number in found}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for example, number in zip(rows.examples, found, strict=True):
        if example.group:
            own, other = root(parent.setdefault(example.group, example.group)), root(f"~{number}")
            parent[own] = other
    names = [root(f"~{number}") for number in found]
    sizes = dict(zip(*np.unique(names, return_counts=True), strict=True))
    return Dataset(
        rows.name,
        tuple(
            replace(example, group=name if sizes[name] > 1 else example.group)
            for example, name in zip(rows.examples, names, strict=True)
        ),
        rows.columns,
    )


def _buckets(band: np.ndarray) -> list[np.ndarray]:
    """Rows with equal values in a band, each group in the order of the rows."""
    whole = np.ascontiguousarray(band).view(np.dtype((np.void, band.dtype.itemsize * ROWS))).ravel()
    order = np.argsort(whole, kind="stable")
    ends = np.flatnonzero(whole[order][1:] != whole[order][:-1]) + 1
    return [bucket for bucket in np.split(order, ends) if len(bucket) > 1]


def _first_of_component(pairs: np.ndarray, count: int) -> np.ndarray:
    """Join pairs to connected components, each numbered by its first row."""
    graph = sparse.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (count, count))
    _, component = csgraph.connected_components(graph, directed=False)
    _, first = np.unique(component, return_index=True)
    return first[component]
