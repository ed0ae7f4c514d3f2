"""What members need to learn spans, made once: words, trunk activations, floors."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from fucina.models.build import build
from fucina.models.tags import marks, tag_names, to_tags
from fucina.models.threads import count
from fucina.models.words import Words, read_words
from fucina.records import Dataset, Spans, Split
from fucina.train.loss import make_loss
from fucina.train.members import Hooks, Member, Prepared
from fucina.train.prepare_labels import stored
from fucina.train.span_floors import fit_floors
from fucina.train.spans import SPANS, SpanMaterial

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.base import Base

__all__ = ["prepare_spans"]


def prepare_spans(
    split: Split,
    base: "Base",
    recipe: "Recipe",
    *,
    threads: ThreadPoolExecutor,
    hooks: Hooks,
) -> Prepared:
    """Find the words, run the trunk once, and fit the floor of each member on its own rows.

    Args:
        split: Rows and folds.
        base: The frozen model.
        recipe: Its model, adapter, training and loss sections.
        threads: Threads that compute, one core each.
        hooks: Where to report.
    """
    rows, types = split.development, split.labels
    words, test = (_words(side, base) for side in (rows, split.test))
    _tell_cut(rows, words, "", base, hooks)
    _tell_cut(split.test, test, " of test", base, hooks)
    tags = tuple(
        to_tags(row.spans, bounds, types)
        for row, bounds in zip(rows.examples, words.bounds, strict=True)
    )
    names = tag_names(types)
    probe = build(
        base, recipe.adapter, members=1, labels=len(names), seed=recipe.seed,
        workers=count(threads),
    )  # fmt: skip
    store = stored(probe, words.encoded, threads, hooks)
    hooks.lap("reading")
    losses = []
    for fold in split.folds:
        own = torch.from_numpy(np.concatenate([tags[row] for row in fold.train]))
        losses.append(make_loss(recipe.training.loss, recipe.loss, names, own))
    whole = SpanMaterial(
        words, tags, tuple(row.spans for row in rows.examples), types, split.folds, store,
        tuple(losses), (None,) * len(split.folds),
    )  # fmt: skip
    floors = fit_floors(probe, whole, rows.prompts, recipe, threads=threads, hooks=hooks)
    hooks.lap("floor")

    def material(group: Sequence[int]) -> SpanMaterial:
        return replace(
            whole,
            folds=tuple(split.folds[i] for i in group),
            losses=tuple(losses[i] for i in group),
            offsets=tuple(floors.offsets[i] for i in group),
        )

    return Prepared(
        kind=SPANS,
        labels=len(names),
        heads=floors.heads,
        material=material,
        lexicon=floors.lexicon,
        lexical=floors.tables,
        out_of_fold=lambda members: _out_of_fold(split, words, members),
        truncated=words.encoded.truncated,
        longest_tokens=words.encoded.longest_tokens,
        read=words.encoded.lengths,
    )


def _words(rows: Dataset, base: "Base") -> Words:
    most = base.max_length_tokens
    return read_words(rows.prompts, base.tokenizer, max_length_tokens=most, last=base.causal)


def _tell_cut(rows: Dataset, words: Words, side: str, base: "Base", hooks: Hooks) -> None:
    """Say how many texts lose their end, and how many spans go with it."""
    if not words.encoded.truncated:
        return
    pairs = zip(rows.examples, words.read, strict=True)
    lost = sum(span.end > read for row, read in pairs for span in row.spans)
    hooks.tell(
        f"{len(words.encoded.truncated)} of {len(rows)} texts{side} are longer than "
        f"{base.max_length_tokens} tokens and lose their end, and {lost} of "
        f"{sum(len(row.spans) for row in rows.examples)} spans with it: these count as missed."
    )


def _out_of_fold(split: Split, words: Words, members: Sequence[Member]) -> Spans:
    """What each member marks in the rows it held out."""
    held = [row for fold in split.folds for row in fold.held_out]
    odds = np.concatenate([member.held_out for member in members])
    ends = np.cumsum(words.counts[held]).astype(int)[:-1]
    bounds = [words.bounds[row] for row in held]
    answers, sure = marks(np.split(odds, ends), bounds, split.labels)
    rows = split.development.examples
    return Spans(
        tuple(rows[row].prompt for row in held),
        tuple(rows[row].spans for row in held),
        tuple(answers),
        tuple(sure),
        tuple(words.read[held].tolist()),
        split.labels,
    )
