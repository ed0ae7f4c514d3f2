"""What members need to learn labels, made once: tokens, trunk activations, floors."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch

from fucina.models import floor as floors
from fucina.models.build import build
from fucina.models.lexical import Table, counts, learn
from fucina.models.stack import Stack
from fucina.models.threads import count
from fucina.models.tokenize import Encoded, encode
from fucina.models.trunk import Activations, activations, assemble, chunks_by_length
from fucina.records import Predictions, Split
from fucina.train.labels import LABELS, LabelMaterial
from fucina.train.loss import make_loss
from fucina.train.members import Hooks, Member, Prepared

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.base import Base

__all__ = ["STORE_SHARE", "fits_in_memory", "label_predictions", "prepare_labels", "stored"]

STORE_SHARE = 0.4  # of the free memory that stored activations may take


def prepare_labels(
    split: Split,
    base: "Base",
    recipe: "Recipe",
    *,
    threads: ThreadPoolExecutor,
    hooks: Hooks,
) -> Prepared:
    """Tokenize the rows, run the trunk once, and fit the floor of each member on its own rows.

    Args:
        split: Rows and folds.
        base: The frozen model.
        recipe: Its model, adapter, training and loss sections.
        threads: Threads that compute, one core each.
        hooks: Where to report.
    """
    targets = np.array([split.labels.index(target) for target in split.development.targets])
    taught = [example.odds for example in split.development.examples]
    odds = np.array(taught, dtype=np.float32) if all(taught) else None
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
    store = stored(probe, encoded, threads, hooks)
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

    def material(group: Sequence[int]) -> LabelMaterial:
        return LabelMaterial(
            encoded,
            targets,
            tuple(split.folds[i] for i in group),
            offsets[list(group)],
            store,
            tuple(_loss(recipe, split, targets, i) for i in group),
            vectors,
            odds,
        )

    return Prepared(
        kind=LABELS,
        labels=len(split.labels),
        heads=heads,
        material=material,
        lexicon=lexicon,
        lexical=tuple(lexical),
        out_of_fold=lambda members: label_predictions(split, members),
        truncated=encoded.truncated,
        longest_tokens=encoded.longest_tokens,
        read=encoded.lengths,
    )


def label_predictions(split: Split, members: Sequence[Member]) -> Predictions:
    """Every held-out row, answered by the member that did not train on it."""
    held = [row for fold in split.folds for row in fold.held_out]
    return Predictions(
        split.labels,
        np.concatenate([member.held_out for member in members]),
        tuple(split.development.targets[row] for row in held),
        tuple(split.development.prompts[row] for row in held),
    )


def _loss(recipe: "Recipe", split: Split, targets: np.ndarray, member: int) -> Callable:
    rows = torch.from_numpy(targets[list(split.folds[member].train)])
    return make_loss(recipe.training.loss, recipe.loss, split.labels, rows)


def fits_in_memory(tokens: int, width: int, hooks: Hooks) -> bool:
    """Whether trunk activations may be stored; says so if not."""
    needed = tokens * width * 4
    free = psutil.virtual_memory().available
    if needed <= STORE_SHARE * free:
        return True
    hooks.tell(
        f"stored activations would take {needed / 2**30:.1f} GiB of {free / 2**30:.1f} GiB "
        "free memory, so the frozen layers run again in every step (slower, same result)."
    )
    return False


def stored(
    stack: Stack, encoded: Encoded, threads: ThreadPoolExecutor, hooks: Hooks
) -> Activations | None:
    """Run the trunk once for all texts, unless the result would not fit in memory."""
    if stack.trunk is None:
        return None
    if not fits_in_memory(int(encoded.lengths.sum()), stack.base.width, hooks):
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
