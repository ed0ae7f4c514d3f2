"""What members need to learn spans, made once: words, trunk activations, floors."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch

from fucina.models import floor as floors
from fucina.models.build import build
from fucina.models.stack import Stack
from fucina.models.tags import marks, tag_names, to_tags
from fucina.models.threads import count
from fucina.models.trunk import assemble, chunks_by_length
from fucina.models.words import Words, read_words, token_numbers
from fucina.records import Dataset, Spans, Split
from fucina.train.loss import make_loss
from fucina.train.members import Hooks, Member, Prepared
from fucina.train.prepare_labels import stored
from fucina.train.spans import SPANS, SpanMaterial

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.base import Base

__all__ = ["prepare_spans"]

FLOOR_WORDS = 20_000  # that a floor learns from; more take minutes and hardly move it


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
    every = tuple(range(len(split.folds)))

    def material(group: Sequence[int]) -> SpanMaterial:
        return SpanMaterial(
            words,
            tags,
            tuple(row.spans for row in rows.examples),
            types,
            tuple(split.folds[i] for i in group),
            store,
            tuple(losses[i] for i in group),
        )

    heads = torch.zeros(len(every), (base.width + 1) * len(names), device=probe.device)
    if recipe.training.start == "floor":
        heads = _floors(probe, material(every), recipe.seed, threads, hooks)
    hooks.lap("floor")
    return Prepared(
        kind=SPANS,
        labels=len(names),
        heads=heads,
        material=material,
        lexicon=None,
        lexical=(None,) * len(split.folds),
        out_of_fold=lambda members: _out_of_fold(split, words, members),
        truncated=words.encoded.truncated,
        longest_tokens=words.encoded.longest_tokens,
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


def _floors(
    stack: Stack, material: SpanMaterial, seed: int, threads: ThreadPoolExecutor, hooks: Hooks
) -> torch.Tensor:
    """Where the heads start: logistic regression on the frozen states of words, k x H."""
    order = np.random.default_rng(seed).permutation(len(material.words))
    share = 1.0 if len(material.folds) == 1 else 1 - 1 / len(material.folds)
    enough = np.cumsum(material.words.counts[order]) * share <= FLOOR_WORDS
    some = np.sort(order[: max(int(enough.sum()), 1)])
    states = _states(stack, material, some, threads, hooks)
    heads = torch.zeros(
        len(material.folds), (stack.base.width + 1) * stack.labels, device=stack.device
    )

    def fit(member: int) -> np.ndarray:
        learned = set(material.folds[member].train)
        rows = [row for row in some.tolist() if row in learned]
        if not rows:
            return np.zeros(heads.shape[1])
        features = np.concatenate([states[row] for row in rows])
        targets = np.concatenate([material.tags[row] for row in rows])
        if len(np.unique(targets)) < 2:
            return np.zeros(heads.shape[1])
        return np.concatenate([part.ravel() for part in floors.on_words(features, targets, stack.labels)])

    for member, head in enumerate(threads.map(fit, range(len(material.folds)))):
        heads[member] = torch.from_numpy(head).float()
        hooks.progress("floor: a linear model on frozen words", member + 1, len(material.folds))
    return heads


def _states(
    stack: Stack,
    material: SpanMaterial,
    rows: np.ndarray,
    threads: ThreadPoolExecutor,
    hooks: Hooks,
) -> dict[int, np.ndarray]:
    """The frozen states of the words of some rows: adapters start as the identity."""
    words = material.words

    def run(part: np.ndarray) -> list[np.ndarray]:
        pad = stack.base.tokenizer.pad_token_id
        batch = assemble(words.encoded, part[None], pad, store=material.store).to(stack.device)
        worker = stack.borrow()
        try:
            with torch.no_grad():
                states = stack.states_of(batch, worker)
        finally:
            stack.give_back(worker)
        numbers = torch.from_numpy(token_numbers(words, part, batch.ids.shape[1]))
        own = states.flatten(0, 1)[numbers.to(stack.device)].cpu().numpy()
        return np.split(own, np.cumsum(words.counts[part]).astype(int)[:-1])

    found: dict[int, np.ndarray] = {}
    chunks = chunks_by_length(material.lengths, rows)
    for done, (part, own) in enumerate(zip(chunks, threads.map(run, chunks), strict=True), 1):
        found |= dict(zip(part.tolist(), own, strict=True))
        hooks.progress("states of the frozen base", done, len(chunks))
    return found
