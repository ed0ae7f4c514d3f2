"""What names cost nothing: each word's usual tag, the names of train, forms of words, spaCy."""

from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

import numpy as np

from fucina.models.tags import OUTSIDE, best_path, to_spans, to_tags, word_bounds
from fucina.models.word_floor import fit_forms
from fucina.models.word_forms import form_rows, learn_forms
from fucina.records import Example, Span

__all__ = ["by_forms", "by_gazetteer", "by_spacy", "by_word", "spacy_models", "types_of"]

MOST_WORDS = 40_000  # that forms are learnt from; more take minutes
LONGEST = 12  # words of a name that is looked up
SAMPLE = 50  # rows of train by which a model of spaCy is chosen
# What the models of spaCy call the usual types.
SPACY = {
    "PERSON": ("PER", "PERSON"), "PER": ("PER", "PERSON"), "ORG": ("ORG", "ORGANIZATION"),
    "GPE": ("LOC", "LOCATION", "GPE"), "LOC": ("LOC", "LOCATION"), "DATE": ("DATE",),
}  # fmt: skip


def types_of(rows: Sequence[Example]) -> list[str]:
    """The types that are marked in some rows, sorted."""
    return sorted({span.label for row in rows for span in row.spans})


def by_word(train: Sequence[Example], rows: Sequence[Example]) -> list[tuple[Span, ...]]:
    """Each word gets the tag that it has most often in train; unknown ones are outside."""
    types = types_of(train)
    seen: dict[str, Counter[int]] = {}
    for row in train:
        bounds = word_bounds(row.prompt)
        for (start, end), tag in zip(bounds, to_tags(row.spans, bounds, types), strict=True):
            seen.setdefault(row.prompt[start:end], Counter())[int(tag)] += 1
    usual = {word: tags.most_common(1)[0][0] for word, tags in seen.items()}
    found = []
    for row in rows:
        bounds = word_bounds(row.prompt)
        tags = [usual.get(row.prompt[start:end], OUTSIDE) for start, end in bounds]
        found.append(to_spans(tags, bounds, types))
    return found


def by_gazetteer(train: Sequence[Example], rows: Sequence[Example]) -> list[tuple[Span, ...]]:
    """The longest names of train that stand in a text, where train marks them more than not.

    Example:
        >>> train = [Example("Oggi a Roma", "", spans=(Span(7, 11, "LOC"),))]
        >>> by_gazetteer(train, [Example("Da Roma a Romagnano", "")])
        [(Span(start=3, end=7, label='LOC'),)]
    """
    known = _gazetteer(train)
    return [_looked_up(row.prompt, known) for row in rows]


def _gazetteer(train: Sequence[Example]) -> dict[tuple[str, ...], str]:
    """The words of a name to its commonest type."""
    marked: dict[tuple[str, ...], Counter[str]] = {}
    for row in train:
        for span in row.spans:
            name = row.prompt[span.start : span.end]
            words = tuple(name[a:b] for a, b in word_bounds(name))
            marked.setdefault(words, Counter())[span.label] += 1
    there: Counter[tuple[str, ...]] = Counter()
    for row in train:
        words = [row.prompt[a:b] for a, b in word_bounds(row.prompt)]
        for first in range(len(words)):
            for size in range(1, min(LONGEST, len(words) - first) + 1):
                name = tuple(words[first : first + size])
                if name in marked:
                    there[name] += 1
    return {
        name: types.most_common(1)[0][0]
        for name, types in marked.items()
        if 2 * types.total() >= there[name]
    }


def _looked_up(text: str, known: dict[tuple[str, ...], str]) -> tuple[Span, ...]:
    bounds = word_bounds(text)
    words = [text[start:end] for start, end in bounds]
    found, place = [], 0
    while place < len(words):
        for size in range(min(LONGEST, len(words) - place), 0, -1):
            label = known.get(tuple(words[place : place + size]))
            if label is not None:
                found.append(Span(bounds[place][0], bounds[place + size - 1][1], label))
                place += size - 1
                break
        place += 1
    return tuple(found)


def by_forms(train: Sequence[Example], rows: Sequence[Example]) -> list[tuple[Span, ...]]:
    """Logistic regression on the letters, capitals and neighbors of each word: no base at all.

    Example:
        >>> place = (Span(3, 6, "LOC"),)
        >>> train = [Example(f"Da {name} a me", "", spans=place) for name in ("Bra", "Asi")]
        >>> by_forms(train * 9, [Example("Da Pra a me", "")])
        [(Span(start=3, end=6, label='LOC'),)]
    """
    types, train = types_of(train), _first_words(train)
    bounds = [word_bounds(row.prompt) for row in train]
    pairs = zip(train, bounds, strict=True)
    tags = np.concatenate([to_tags(row.spans, own, types) for row, own in pairs])
    if len(np.unique(tags)) < 2:  # nothing is marked, or everything alike
        return by_word(train, rows)
    texts = [row.prompt for row in train]
    lexicon = learn_forms(texts, bounds)
    table, shift = fit_forms(form_rows(texts, bounds, lexicon), tags, 1 + 2 * len(types))
    found = []
    for row in rows:
        own = word_bounds(row.prompt)
        scores = table.scores(form_rows([row.prompt], [own], lexicon)) + shift
        found.append(to_spans(best_path(scores[None])[0], own, types))
    return found


def _first_words(rows: Sequence[Example]) -> Sequence[Example]:
    """As many rows as hold the words that forms are learnt from."""
    counts = np.cumsum([len(word_bounds(row.prompt)) for row in rows])
    return rows[: max(int((counts <= MOST_WORDS).sum()), 1)]


def spacy_models() -> list[str]:
    """The packages of models of spaCy that are installed; none where it is not."""
    if find_spec("spacy") is None:
        return []
    return sorted(entry.name for entry in entry_points(group="spacy_models"))


def by_spacy(train: Sequence[Example], rows: Sequence[Example]) -> list[tuple[Span, ...]]:
    """What the installed model of spaCy says that agrees best with train, in its types."""
    spacy, types = import_module("spacy"), types_of(train)
    models: list[Any] = [spacy.load(name) for name in spacy_models()]
    hits = [
        sum(len(set(_spoken(model, row.prompt, types)) & set(row.spans)) for row in train[:SAMPLE])
        for model in models
    ]
    best = models[hits.index(max(hits))]
    return [_spoken(best, row.prompt, types) for row in rows]


def _spoken(model: Any, text: str, types: Sequence[str]) -> tuple[Span, ...]:
    upper = {name.upper(): name for name in types}
    found = []
    for entity in model(text).ents:
        names = [upper[name] for name in SPACY.get(entity.label_, ()) if name in upper]
        if names:
            found.append(Span(entity.start_char, entity.end_char, names[0]))
    return tuple(found)
