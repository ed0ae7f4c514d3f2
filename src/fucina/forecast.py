"""The estimate of a run from its rows: cut as the engine will cut them, counted, and weighed."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from fucina import plan, run
from fucina.errors import RunError
from fucina.models.tokenize import encode
from fucina.models.trunk import chunks_by_length
from fucina.train.batches import at_most, chunks, epoch_batches
from fucina.train.prepare_labels import STORE_SHARE

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.base import Base
    from fucina.records import Split

__all__ = ["estimate", "fits", "past", "shapes", "token_counts"]

SAMPLE = 2000  # texts that are tokenized; more would take longer than the estimate is worth
STEPS = 64  # of an epoch that are cut into passes
LETTERS_A_TOKEN = 4.0  # where there is no tokenizer


def token_counts(texts: Sequence[str], tokenizer: Any | None, most: int) -> tuple[np.ndarray, int]:
    """Tokens of n texts after the cut, and how many of them were longer.

    Of many texts a sample is tokenized and stands for the rest. Without a tokenizer, tokens are
    guessed from characters.

    Example:
        >>> lengths, cut = token_counts(["a" * 40, "b" * 400], None, 64)
        >>> lengths.tolist(), cut
        ([12, 64], 1)
    """
    if tokenizer is None:
        counts = np.array([2 + round(len(text) / LETTERS_A_TOKEN) for text in texts], dtype=int)
        return np.minimum(counts, most), int((counts > most).sum())
    some = list(range(len(texts)))
    if len(texts) > SAMPLE:
        some = np.linspace(0, len(texts) - 1, SAMPLE).astype(int).tolist()
    encoded = encode([texts[row] for row in some], tokenizer, max_length_tokens=most)
    share = len(texts) / max(1, len(some))
    lengths = np.resize(encoded.lengths, len(texts)) if len(encoded) else np.zeros(0, dtype=int)
    return lengths, round(len(encoded.truncated) * share)


def shapes(split: "Split", tokenizer: Any | None, most: int, recipe: "Recipe") -> plan.Shapes:
    """Cut the rows of a split into batches and passes, without running any.

    Args:
        split: Rows and folds.
        tokenizer: Of the base; None to guess from characters.
        most: Tokens at which texts are cut.
        recipe: For batches and accumulation.
    """
    lengths, cut = token_counts(split.development.prompts, tokenizer, most)
    test, _ = token_counts(split.test.prompts, tokenizer, most)
    config = recipe.training
    effective = config.batch_size * config.accumulation
    groups = [[fold] for fold in split.folds] if recipe.adapter.kind == "full" else [split.folds]
    training, steps = [], 0
    for folds in groups:
        batches = epoch_batches(lengths, folds, effective, seed=recipe.seed, epoch=1)
        steps = max(steps, len(batches))
        for batch in _spread(batches):
            training += [
                (part.rows.size, lengths[part.rows].max(), len(batches) / min(STEPS, len(batches)))
                for part in at_most(chunks(batch, lengths), config.batch_size)
            ]
    held = np.concatenate([lengths[list(fold.held_out)] for fold in split.folds])
    return plan.Shapes(
        rows=len(split.development),
        learned=sum(len(fold.train) for fold in split.folds),
        test_rows=len(split.test),
        labels=len(split.labels),
        members=len(split.folds),
        characters=sum(map(len, split.development.prompts)),
        tokens=sum(int(lengths[list(fold.train)].sum()) for fold in split.folds),
        steps=steps,
        reading=_passes(lengths),
        training=_weighed(training),
        held_out=_passes(held),
        answering=_passes(test),
        truncated=cut / max(1, len(lengths)),
    )


def _spread(batches: list[np.ndarray]) -> list[np.ndarray]:
    """At most STEPS of them; they are in random order."""
    return batches[:STEPS]


def _weighed(passes: list[tuple[int, int, float]]) -> np.ndarray:
    """Repeat the passes of the sampled steps to stand for all."""
    share = passes[0][2] if passes else 1.0
    table = np.array([(rows, length) for rows, length, _ in passes], dtype=float).reshape(-1, 2)
    return np.resize(table, (round(len(table) * share), 2)) if len(table) else table


def _passes(lengths: np.ndarray) -> np.ndarray:
    """Rows and padded length of each pass over texts of these lengths."""
    if not len(lengths):
        return np.zeros((0, 2))
    parts = chunks_by_length(lengths, np.arange(len(lengths)))
    return np.array([(len(part), lengths[part].max()) for part in parts], dtype=float)


def estimate(
    split: "Split", base: "Base", recipe: "Recipe", pool: ThreadPoolExecutor
) -> tuple[plan.Estimate, dict[str, Any]]:
    """The formula alone for a run that begins, and the record that its run folder keeps.

    Returns:
        The estimate, corrected by past runs where there are any, and the record of the formula
        as it was without them.
    """
    network = plan.measure(base.network, base.layers, base.width, recipe.adapter)
    cut = shapes(split, base.tokenizer, base.max_length_tokens, recipe)
    machine = plan.here(pool, base.precision)
    asked = plan.work(network, cut, recipe, stored=fits(cut, network))
    formula = plan.estimate(asked, machine, recipe)
    mark = plan.fingerprint(machine.workers)
    known = past(Path(recipe.output), mark)
    size = asked.stages["training"].flops
    corrected = plan.estimate(asked, machine, recipe, plan.learn(known, size)) if known else formula
    return corrected, {
        "machine": mark,
        "epochs": asked.epochs,
        "flops": size,
        "trainable": asked.trainable,
        "tokens": cut.tokens,
        "estimate": asdict(formula),
        "truth": None,
    }


def fits(cut: plan.Shapes, network: plan.Network) -> bool:
    """Whether stored activations would fit in the free memory, as training decides it."""
    free = psutil.virtual_memory().available
    return plan.store_bytes(cut, network.width) <= STORE_SHARE * free


def past(output: Path, mark: str) -> list[plan.Past]:
    """The complete runs below a folder that were done on this machine."""
    found = []
    for path in sorted(output.glob("*/*/plan.json")):
        with suppress(RunError, KeyError, TypeError):  # of an older version, or torn
            found.append(plan.from_record(run.read_json(path), mark))
    return [one for one in found if one is not None]
