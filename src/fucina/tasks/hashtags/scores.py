"""Tags as a set: which of those answered are true, and which of the true ones were found."""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fucina.metrics import matches, mean_of
from fucina.records import Example, Ratio

__all__ = ["normalized", "read_tags", "scores", "written"]

FIRST = (1, 3)  # how many tags precision@k looks at


def read_tags(text: str) -> list[str]:
    """Tags in the order they stand in: words after #, a JSON list, or a list with commas.

    A tag that is there twice, however it is written, counts once.

    Example:
        >>> read_tags("Ecco: #Pane #forno #pane"), read_tags('["pane", "forno"]')
        (['#Pane', '#forno'], ['#pane', '#forno'])
        >>> read_tags("pane fresco, forno"), read_tags("")
        (['#panefresco', '#forno'], [])
    """
    if text.lstrip().startswith("["):
        try:
            given = [str(tag) for tag in json.loads(text)]
        except json.JSONDecodeError:
            given = re.findall(r"#\w+", text)
    elif "#" in text:
        given = re.findall(r"#\w+", text)
    else:
        given = text.split(",") if "," in text else text.split()
    tags = ["#" + re.sub(r"\W", "", tag) for tag in given]
    kept: dict[str, str] = {}
    for tag in tags:
        if normalized(tag):
            kept.setdefault(normalized(tag), tag)
    return list(kept.values())


def written(tags: Iterable[str]) -> str:
    """Tags as a model writes them."""
    return " ".join(tags)


def normalized(tag: str) -> str:
    """What two ways to write one tag have in common: no case, no accents, no underscores.

    Example:
        >>> normalized("#CucinaItaliana") == normalized("cucina_italiana"), normalized("#Città")
        (True, 'citta')
    """
    letters = unicodedata.normalize("NFKD", tag.lstrip("#").replace("_", ""))
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()


def scores(answers: Sequence[str], rows: Sequence[Example]) -> Mapping[str, Ratio]:
    """Precision, recall and F1 of all tags together, and precision of the first ones.

    Precision@k divides by k even where fewer tags were answered, as in information retrieval.

    Args:
        answers: n texts as a model wrote them.
        rows: The n rows with their true tags.

    Example:
        >>> from fucina.metrics import value_of
        >>> found = scores(["#pane #vino"], [Example("Oggi si inforna.", "#Pane #forno")])
        >>> {name: round(value_of(ratio), 2) for name, ratio in found.items()}
        {'f1': 0.5, 'precision': 0.5, 'recall': 0.5, 'precision_at_1': 1.0, 'precision_at_3': 0.33}
    """
    said = [[normalized(tag) for tag in read_tags(answer)] for answer in answers]
    true = [{normalized(tag) for tag in read_tags(row.target)} for row in rows]
    hits = [[tag in own for tag in tags] for tags, own in zip(said, true, strict=True)]
    together = matches(
        [sum(hit) for hit in hits], [len(tags) for tags in said], [len(own) for own in true]
    )
    first = {
        f"precision_at_{k}": mean_of(np.array([sum(hit[:k]) / k for hit in hits], dtype=float))
        for k in FIRST
    }
    return {name: together[name] for name in ("f1", "precision", "recall")} | first
