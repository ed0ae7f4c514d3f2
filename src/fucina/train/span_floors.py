"""Where members that mark spans start from: linear models of frozen states and of word forms."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fucina.models import word_floor
from fucina.models.lexical import Lexicon, Table
from fucina.models.stack import Stack
from fucina.models.trunk import assemble, chunks_by_length
from fucina.models.word_forms import form_rows, learn_forms
from fucina.models.words import token_numbers
from fucina.train.members import Hooks
from fucina.train.spans import SpanMaterial

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["MOST_WORDS", "SpanFloors", "fit_floors"]

MOST_WORDS = 40_000  # that a floor learns from; more take minutes


@dataclass(frozen=True)
class SpanFloors:
    """The floors of k members.

    Attributes:
        heads: k x H; zero where training starts cold.
        offsets: For each member what forms add to the scores of the words of n texts; None without.
        lexicon: The forms; None without.
        tables: What each member makes of them.
    """

    heads: torch.Tensor
    offsets: tuple[Sequence[np.ndarray] | None, ...]
    lexicon: Lexicon | None
    tables: tuple[Table | None, ...]


def fit_floors(
    stack: Stack,
    material: SpanMaterial,
    prompts: Sequence[str],
    recipe: "Recipe",
    *,
    threads: ThreadPoolExecutor,
    hooks: Hooks,
) -> SpanFloors:
    """Fit the floor of each member on its own training rows; of many rows on some.

    Args:
        stack: Of one member, fresh: its adapters are the identity.
        material: The words and tags of n texts, and the folds of k members.
        prompts: The texts.
        recipe: Its seed, and whether forms and floor are wanted.
        threads: Threads that compute, one core each.
        hooks: Where to report.
    """
    members = range(len(material.folds))
    heads = torch.zeros(len(members), (stack.base.width + 1) * stack.labels, device=stack.device)
    offsets: list[Sequence[np.ndarray] | None] = [None] * len(members)
    tables: list[Table | None] = [None] * len(members)
    if not recipe.model.lexical and recipe.training.start == "cold":
        return SpanFloors(heads, tuple(offsets), None, tuple(tables))
    some = _some(material, recipe.seed)
    states = _states(stack, material, some, threads, hooks)
    lexicon, forms = None, None
    ends = np.cumsum(material.words.counts).astype(int)
    if recipe.model.lexical:
        lexicon = learn_forms(prompts, material.words.bounds)
        forms = form_rows(prompts, material.words.bounds, lexicon)

    def fit(member: int) -> tuple[list[int], Any]:
        learned = set(material.folds[member].train)
        rows = [row for row in some.tolist() if row in learned]
        tags = np.concatenate([material.tags[row] for row in rows] or [np.zeros(0, dtype=int)])
        if len(np.unique(tags)) < 2:
            return rows, None  # nothing but words outside of spans
        own = np.concatenate([np.arange(ends[r] - len(material.tags[r]), ends[r]) for r in rows])
        return rows, word_floor.fit(
            np.concatenate([states[row] for row in rows]),
            None if forms is None else forms[own],
            tags,
            np.repeat(np.arange(len(rows)), [len(material.tags[row]) for row in rows]),
            tag_count=stack.labels,
            seed=recipe.seed,
        )

    for member, (rows, floor) in zip(members, threads.map(fit, members), strict=True):
        hooks.progress("floor: linear models on frozen words", member + 1, len(members))
        if floor is None:
            continue
        if recipe.training.start == "floor":
            head = np.concatenate([floor.weight.ravel(), floor.bias])
            heads[member] = torch.from_numpy(head).float()
        if floor.lexical is not None and forms is not None:
            tables[member] = floor.lexical
            scores = floor.lexical.scores(forms).astype(np.float32)
            each = np.split(scores, ends[:-1])
            # Words that the forms were fitted on get what a fit without them says.
            fitted = np.split(floor.offsets, np.cumsum([len(each[row]) for row in rows])[:-1])
            for row, own in zip(rows, fitted, strict=True):
                each[row] = own
            offsets[member] = each
    return SpanFloors(heads, tuple(offsets), lexicon, tuple(tables))


def _some(material: SpanMaterial, seed: int) -> np.ndarray:
    """Texts that hold as many words as floors learn from, at random; all if they hold no more."""
    order = np.random.default_rng(seed).permutation(len(material.words))
    folds = len(material.folds)
    share = 1 - 1 / folds if folds > 1 else 1.0  # of these, that one member learns from
    enough = int((np.cumsum(material.words.counts[order]) * share <= MOST_WORDS).sum())
    return np.sort(order[: max(enough, 1)])


def _states(
    stack: Stack,
    material: SpanMaterial,
    rows: np.ndarray,
    threads: ThreadPoolExecutor,
    hooks: Hooks,
) -> dict[int, np.ndarray]:
    """The frozen states of the words of some texts: adapters start as the identity."""
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
