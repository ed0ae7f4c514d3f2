"""Train the members of a run: one model, or one a fold, all from the same floor upwards."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch

from fucina.models import floor as floors
from fucina.models.build import build
from fucina.models.lexical import Lexicon, Table, counts, learn
from fucina.models.stack import Stack
from fucina.models.threads import count
from fucina.models.tokenize import Encoded, encode
from fucina.models.trunk import Activations, activations, assemble, chunks_by_length
from fucina.records import Predictions, Split, silent
from fucina.train.checkpoint import State
from fucina.train.fit import fit
from fucina.train.labels import LABELS, LabelMaterial
from fucina.train.loss import make_loss
from fucina.train.members import Hooks, Member
from fucina.train.stopping import max_ratio

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.base import Base

__all__ = ["STORE_SHARE", "Fit", "Memory", "cross_validate"]

STORE_SHARE = 0.4  # of the free memory that stored activations may take


@dataclass(frozen=True)
class Memory:
    """How training remembers itself: one state a group of members.

    Attributes:
        save: Called after each epoch with the group's number and its state.
        load: Gives the state to go on from; None to start.
    """

    save: Callable[[int, State], None] = silent
    load: Callable[[int], State | None] = silent


@dataclass(frozen=True)
class Fit:
    """What training leaves behind.

    Attributes:
        members: The k members with the weights they keep.
        stacks: The stacks they were trained in, to name their parameters.
        lexicon: The n-grams; None without a lexical part.
        lexical: For each member what the n-grams say, or None.
        out_of_fold: Every held-out row answered by the member that did not train on it.
        held_out: The development rows of `out_of_fold`, in its order.
        truncated: Development rows longer than the limit.
        longest_tokens: Tokens of the longest one.
    """

    members: tuple[Member, ...]
    stacks: tuple[Stack, ...]
    lexicon: Lexicon | None
    lexical: tuple[Table | None, ...]
    out_of_fold: Predictions
    held_out: tuple[int, ...]
    truncated: tuple[int, ...]
    longest_tokens: int


def cross_validate(
    split: Split,
    base: "Base",
    recipe: "Recipe",
    *,
    threads: ThreadPoolExecutor,
    hooks: Hooks,
    memory: Memory,
) -> Fit:
    """Train one member a fold of the split.

    Members with adapters train together in one stack; members that train all weights go one
    after the other. The floor of each member is fitted on its own training rows alone.

    Args:
        split: Rows and folds.
        base: The frozen model.
        recipe: Its model, adapter, training, loss and stopping sections.
        threads: Threads that compute, one core each.
        hooks: Where to report.
        memory: Where to save, and what to resume from.
    """
    targets = np.array([split.labels.index(target) for target in split.development.targets])
    encoded = encode(
        split.development.prompts,
        base.tokenizer,
        max_length_tokens=base.max_length_tokens,
    )
    if encoded.truncated:
        most = base.max_length_tokens
        why = "all that this base can read" if most < recipe.model.max_length_tokens else ""
        hooks.tell(
            f"{len(encoded.truncated)} of {len(encoded)} texts are longer than {most} tokens"
            f"{why and f' ({why})'} and lose their end."
        )
    probe = build(
        base,
        recipe.adapter,
        members=1,
        labels=len(split.labels),
        seed=recipe.seed,
        workers=count(threads),
    )
    store = _store(probe, encoded, threads, hooks)
    hooks.lap("reading")
    lexicon, ngrams = None, None
    if recipe.model.lexical:
        lexicon = learn(split.development.prompts)
        ngrams = counts(split.development.prompts, lexicon)
    vectors = None
    if lexicon is not None or recipe.training.start == "floor":
        vectors = _features(probe, encoded, store, threads, hooks)
    heads, offsets, lexical = _floors(
        probe,
        vectors,
        ngrams,
        targets,
        split=split,
        recipe=recipe,
        threads=threads,
        hooks=hooks,
    )
    hooks.lap("floor")
    every = range(len(split.folds))
    groups = [[i] for i in every] if recipe.adapter.kind == "full" else [list(every)]
    members: list[Member] = []
    stacks: list[Stack] = []
    for number, group in enumerate(groups):
        stack = build(
            base,
            recipe.adapter,
            members=len(group),
            labels=len(split.labels),
            seed=recipe.seed,
            workers=count(threads),
        )
        stack.bind(stack.adapters, heads[group])
        material = LabelMaterial(
            encoded,
            targets,
            tuple(split.folds[i] for i in group),
            offsets[group],
            store,
            tuple(_loss(recipe, split, targets, i) for i in group),
            vectors,
        )
        done = fit(
            stack,
            material,
            LABELS,
            recipe.training,
            recipe.stopping,
            run=(recipe.seed, max_ratio(recipe.stopping, recipe.training.loss), threads),
            hooks=_for_group(hooks, group[0]),
            save=lambda state, number=number: memory.save(number, state),
            resume=memory.load(number),
        )
        members += [replace(member, index=group[member.index]) for member in done]
        stacks.append(stack)
    hooks.lap("training")
    held = tuple(row for fold in split.folds for row in fold.held_out)
    out_of_fold = Predictions(
        split.labels,
        np.concatenate([member.held_out for member in members]),
        tuple(split.development.targets[row] for row in held),
        tuple(split.development.prompts[row] for row in held),
    )
    kept = tuple(lexical)
    return Fit(
        tuple(members), tuple(stacks), lexicon, kept, out_of_fold, held, encoded.truncated,
        encoded.longest_tokens,
    )  # fmt: skip


def _loss(recipe: "Recipe", split: Split, targets: np.ndarray, member: int) -> Callable:
    rows = torch.from_numpy(targets[list(split.folds[member].train)])
    return make_loss(recipe.training.loss, recipe.loss, split.labels, rows)


def _for_group(hooks: Hooks, first: int) -> Hooks:
    """Report members by their number in the whole run."""
    if not first:
        return hooks
    return replace(
        hooks,
        epoch=lambda epoch: hooks.epoch(replace(epoch, member=epoch.member + first)),
        improved=lambda stack, member: hooks.improved(
            stack, replace(member, index=member.index + first)
        ),
        every_epoch=lambda stack, member, epoch, state: hooks.every_epoch(
            stack, member + first, epoch, state
        ),
        tell=lambda message: hooks.tell(message.replace("member 1", f"member {first + 1}")),
    )


def _store(
    stack: Stack, encoded: Encoded, threads: ThreadPoolExecutor, hooks: Hooks
) -> Activations | None:
    """Run the trunk once for all texts, unless the result would not fit in memory."""
    if stack.trunk is None:
        return None
    needed = int(encoded.lengths.sum()) * stack.base.width * 4
    free = psutil.virtual_memory().available
    if needed > STORE_SHARE * free:
        hooks.tell(
            f"stored activations would take {needed / 2**30:.1f} GiB of {free / 2**30:.1f} GiB "
            "free memory, so the frozen layers run again in every step (slower, same result)."
        )
        return None
    return activations(stack.trunk, encoded, threads=threads, progress=hooks.progress)


def _features(
    stack: Stack,
    encoded: Encoded,
    store: Activations | None,
    threads: ThreadPoolExecutor,
    hooks: Hooks,
) -> np.ndarray:
    """Pooled vectors of the frozen base, n x d: adapters start as the identity."""
    result = np.zeros((len(encoded), stack.base.width), dtype=np.float32)

    def run(rows: np.ndarray) -> np.ndarray:
        pad = stack.base.tokenizer.pad_token_id
        batch = assemble(encoded, rows[None], pad, store=store).to(stack.device)
        worker = stack.borrow()
        try:
            with torch.no_grad():
                return stack.features(batch, worker)[0].cpu().numpy()
        finally:
            stack.give_back(worker)

    chunks = chunks_by_length(encoded.lengths, np.arange(len(encoded)))
    for done, (rows, vectors_) in enumerate(zip(chunks, threads.map(run, chunks), strict=True), 1):
        result[rows] = vectors_
        hooks.progress("features of the frozen base", done, len(chunks))
    return result


def _floors(
    stack: Stack,
    vectors: np.ndarray | None,
    ngrams: Any,
    targets: np.ndarray,
    *,
    split: Split,
    recipe: "Recipe",
    threads: ThreadPoolExecutor,
    hooks: Hooks,
) -> tuple[torch.Tensor, np.ndarray, list[Table | None]]:
    """Fit the floor of each member; returns heads k x H, offsets k x n x c, n-gram weights."""
    labels = len(split.labels)
    offsets = np.zeros((len(split.folds), len(targets), labels), dtype=np.float32)
    lexical: list[Table | None] = [None] * len(split.folds)
    heads = torch.zeros(len(split.folds), (stack.base.width + 1) * labels, device=stack.device)
    if vectors is None:
        return heads, offsets, lexical

    def run(member: int) -> floors.Floor:
        rows = np.array(split.folds[member].train)
        own = None if ngrams is None else ngrams[rows]
        return floors.fit(vectors[rows], own, targets[rows], label_count=labels, seed=recipe.seed)

    for member, floor in enumerate(threads.map(run, range(len(split.folds)))):
        train, held = list(split.folds[member].train), list(split.folds[member].held_out)
        if floor.lexical is not None and ngrams is not None:
            offsets[member, train] = floor.offsets
            offsets[member, held] = floor.lexical.scores(ngrams[held])
            lexical[member] = floor.lexical
        if recipe.training.start == "floor":
            head = np.concatenate([floor.weight.ravel(), floor.bias])
            heads[member] = torch.from_numpy(head).float()
        hooks.progress("floor: linear models on frozen features", member + 1, len(split.folds))
    return heads, offsets, lexical
