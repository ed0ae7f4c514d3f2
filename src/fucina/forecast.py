"""The estimate of a run from its rows: cut as the engine will cut them, counted, and weighed."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import psutil

from fucina import plan, run
from fucina.counting import Counts, of_labels, of_names, of_pairs, of_texts
from fucina.errors import RunError
from fucina.models.memory import held_mib
from fucina.models.tags import tag_names
from fucina.models.trunk import chunks_by_length
from fucina.models.writer import ROWS
from fucina.tasks.settings import learnt_as
from fucina.train.batches import at_most, chunks, epoch_batches
from fucina.train.prepare_labels import STORE_SHARE
from fucina.train.span_floors import MOST_WORDS

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.base import Base
    from fucina.models.blueprint import Blueprint
    from fucina.models.pairing import Pairing
    from fucina.models.template import Template
    from fucina.records import Split

__all__ = ["count", "estimate", "fits", "past", "shapes"]

STEPS = 64  # of an epoch that are cut into passes


def count(split: "Split", base: "Base | Blueprint", recipe: "Recipe") -> Counts:
    """The tokens of rows, as the task of a recipe has them read.

    Raises:
        DataError: The template refuses a row.
    """
    if learnt_as(recipe) != "text":
        return of_labels(split, base.tokenizer, base.max_length_tokens)
    template, most = base.template, base.max_length_tokens
    if base.encoder:
        return of_pairs(split, cast("Pairing | None", template), most, recipe.chat)
    counted = of_names if split.labels else of_texts
    return counted(split, cast("Template | None", template), most, recipe.chat)


def shapes(split: "Split", counts: Counts, recipe: "Recipe") -> plan.Shapes:
    """Cut the rows of a split into batches and passes, without running any.

    Args:
        split: Rows and folds.
        counts: Their tokens.
        recipe: For batches and accumulation.
    """
    lengths, config = counts.lengths, recipe.training
    effective = config.batch_size * config.accumulation
    groups = [[fold] for fold in split.folds] if recipe.adapter.kind == "full" else [split.folds]
    # What a network writes, and what its encoder reads; else both are one.
    sides = (counts.learnt, counts.read) if len(counts.read) else (lengths,)
    tests = (counts.test_learnt, counts.test_read) if len(counts.read) else (counts.test,)
    training: list[list[tuple[int, int, float]]] = [[] for _ in sides]
    steps = 0
    for folds in groups:
        batches = epoch_batches(lengths, folds, effective, seed=recipe.seed, epoch=1)
        steps = max(steps, len(batches))
        for batch in _spread(batches):
            for part in at_most(chunks(batch, lengths), config.batch_size):
                stands_for = len(batches) / min(STEPS, len(batches))
                for side, table in zip(sides, training, strict=True):
                    table.append((part.rows.size, int(side[part.rows].max()), stands_for))
    trained = np.concatenate([np.array(fold.train, dtype=int) for fold in split.folds])
    held = np.concatenate([np.array(fold.held_out, dtype=int) for fold in split.folds])
    rows, words = split.development.examples, learnt_as(recipe) == "text"
    weighed = (counts.weighed,) if counts.names else sides
    marks = learnt_as(recipe) == "spans"  # with a score a tag, on every word
    reading = _passes(lengths, sides)
    order = counts.weighed if counts.names else lengths
    held_out = _passes(order[held], [side[held] for side in weighed])
    answering = _passes(counts.test, tests)
    cut = [_weighed(table) for table in training]
    sources = plan.Sources(reading[1], cut[1], held_out[1], answering[1]) if sides[1:] else None
    return plan.Shapes(
        rows=len(rows),
        learned=min(int(lengths[trained].sum()), MOST_WORDS * len(split.folds))
        if marks
        else len(trained),
        test_rows=len(split.test),
        labels=0 if words else len(tag_names(split.labels)) if marks else len(split.labels),
        members=len(split.folds),
        characters=sum(len(row.prompt) + len(row.target) * words for row in rows),
        tokens=int(lengths[trained].sum()) + counts.prefix * steps * len(split.folds),
        steps=steps,
        reading=reading[0],
        training=cut[0],
        held_out=held_out[0],
        answering=answering[0],
        truncated=counts.truncated,
        texts=_texts(split, counts, recipe, sources) if words else plan.Texts(),
    )


def _texts(
    split: "Split", counts: Counts, recipe: "Recipe", sources: plan.Sources | None
) -> plan.Texts:
    trained = np.concatenate([np.array(fold.train, dtype=int) for fold in split.folds])
    held = np.concatenate([np.array(fold.held_out, dtype=int) for fold in split.folds])
    asked = np.sort(counts.asked)
    batches = [asked[begin : begin + ROWS] for begin in range(0, len(asked), ROWS)]
    prompts = [(len(batch), max(1, batch.max())) for batch in batches]
    states = counts.names + 1  # of a row with the names of all labels, that reach the head
    return plan.Texts(
        prefix=counts.prefix,
        learnt=int(counts.learnt[trained].sum()),
        held_out=len(held) * states if split.labels else int(counts.learnt[held].sum()),
        test=len(split.test) * states if split.labels else int(counts.test_learnt.sum()),
        prompts=np.array(prompts, dtype=float).reshape(-1, 2),
        begun=counts.begun,
        most=recipe.chat.max_new_tokens,
        sources=sources,
        labels=len(split.labels),
    )


def _spread(batches: list[np.ndarray]) -> list[np.ndarray]:
    """At most STEPS of them; they are in random order."""
    return batches[:STEPS]


def _weighed(passes: list[tuple[int, int, float]]) -> np.ndarray:
    """Repeat the passes of the sampled steps to stand for all."""
    share = passes[0][2] if passes else 1.0
    table = np.array([(rows, length) for rows, length, _ in passes], dtype=float).reshape(-1, 2)
    return np.resize(table, (round(len(table) * share), 2)) if len(table) else table


def _passes(lengths: np.ndarray, sides: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Rows and padded length of each pass over texts of these lengths, one table a side of them."""
    parts = chunks_by_length(lengths, np.arange(len(lengths))) if len(lengths) else []
    return [
        np.array([(len(part), side[part].max()) for part in parts], dtype=float).reshape(-1, 2)
        for side in sides
    ]


def estimate(
    split: "Split", base: "Base", recipe: "Recipe", pool: ThreadPoolExecutor
) -> tuple["Recipe", plan.Estimate, dict[str, Any]]:
    """What a run that begins will take.

    Returns:
        The recipe, with checkpointing decided by the memory there is; the estimate, corrected by
        past runs where there are any; and the record that the run folder keeps, of the formula as
        it was without them.
    """
    network = plan.measure(
        base.network, base.layers, base.width, recipe.adapter, base.head, base.encoder,
        quantize=recipe.model.quantize,
    )  # fmt: skip
    cut = shapes(split, count(split, base, recipe), recipe)
    machine = plan.here(pool, base.precision)
    mark = plan.fingerprint(machine.workers)
    known = past(Path(recipe.output), mark)

    def weighed(recipe: "Recipe") -> tuple[plan.Work, plan.Estimate, plan.Estimate]:
        asked = plan.work(network, cut, recipe, stored=fits(cut, network))
        formula = plan.estimate(asked, machine, recipe)
        if not known:
            return asked, formula, formula
        learnt = plan.learn(known, asked.stages["training"].flops, formula.peak_mib)
        return asked, formula, plan.estimate(asked, machine, recipe, learnt)

    asked, formula, corrected = weighed(recipe)
    # The weights are loaded already: what they hold is part of the estimate, and no longer free.
    recipe = plan.decided(recipe, corrected.peak_mib, machine.memory_mib + held_mib())
    if recipe.engine.checkpointing is True:
        asked, formula, corrected = weighed(recipe)
    size = asked.stages["training"].flops
    return (
        recipe,
        corrected,
        {
            "machine": mark,
            "epochs": asked.epochs,
            "flops": size,
            "trainable": asked.trainable,
            "tokens": cut.tokens,
            "estimate": asdict(formula),
            "truth": None,
        },
    )


def fits(cut: plan.Shapes, network: plan.Network) -> bool:
    """Whether stored activations would fit in the free memory, as training decides it."""
    free = psutil.virtual_memory().available
    return plan.store_bytes(cut, network) <= STORE_SHARE * free


def past(output: Path, mark: str) -> list[plan.Past]:
    """The complete runs below a folder that were done on this machine."""
    found = []
    for path in sorted(output.glob("*/*/plan.json")):
        with suppress(RunError, KeyError, TypeError):  # of an older version, or torn
            found.append(plan.from_record(run.read_json(path), mark))
    return [one for one in found if one is not None]
