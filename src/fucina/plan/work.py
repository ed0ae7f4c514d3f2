"""What a recipe asks a machine to do: tokens, steps, and the arithmetic of each stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fucina.plan.network import Network

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["Shapes", "Stage", "Work", "work"]

SINGLE = 50  # prompts at most that the evaluation times one by one
WARM_UP = 3  # of them are asked twice
LETTER_S = 15e-6  # to find and count the n-grams of 2 to 5 characters, per character
LINEAR_S = 30e-9  # to fit a linear model, per row, feature and label
SPARSE_S = 1.2e-6  # to fit one on n-grams, per character and label
RESAMPLE_S = 60e-9  # per resample, test row and judged model
WRITE_BYTES_S = 300e6  # tensors to disk, copies and fsync included
STEP_BYTES = 88  # moved for each trained number in a step: gradients, sums, AdamW


@dataclass(frozen=True)
class Shapes:
    """The rows of a run as the engine will cut them.

    Passes are p x 2: rows of all members at once, and tokens they are padded to.

    Attributes:
        rows: Development rows.
        learned: Training rows of all members together.
        test_rows: Rows of the test set.
        labels: c.
        members: k.
        characters: Of the development rows.
        tokens: Of the training rows of all members, without padding: one epoch.
        steps: Optimizer steps of a member in one epoch.
        reading: Passes over every development row.
        training: Passes of one epoch.
        held_out: Passes over held-out rows, after each epoch.
        answering: Passes over the test rows; each is repeated for the members above the trunk.
        truncated: Share of rows longer than the limit.
    """

    rows: int
    learned: int
    test_rows: int
    labels: int
    members: int
    characters: int
    tokens: int
    steps: int
    reading: np.ndarray
    training: np.ndarray
    held_out: np.ndarray
    answering: np.ndarray
    truncated: float = 0.0


@dataclass(frozen=True)
class Stage:
    """What one stage asks for.

    Attributes:
        flops: Multiplications and additions of the network.
        layers: Layer calls, a backward pass counted as two more: on a GPU each costs its launches.
        bytes_moved: Parameters, gradients and moments that pass through memory.
        bytes_written: To disk.
        processor_s: Work that no GPU takes over, in seconds on the machine it was measured on.
    """

    flops: float = 0.0
    layers: float = 0.0
    bytes_moved: float = 0.0
    bytes_written: float = 0.0
    processor_s: float = 0.0


@dataclass(frozen=True)
class Work:
    """All of a run.

    Attributes:
        shapes: Of its rows.
        network: Of its base.
        trainable: Parameters of all members, heads included.
        epochs: All that the recipe asks for.
        stages: Name to what it asks for, in their order.
    """

    shapes: Shapes
    network: Network
    trainable: int
    epochs: int
    stages: Mapping[str, Stage]


def work(network: Network, shapes: Shapes, recipe: "Recipe", *, stored: bool = True) -> Work:
    """Count what a recipe asks for.

    Args:
        network: Of its base.
        shapes: Of its rows.
        recipe: The rest.
        stored: Whether activations of the trunk fit in memory; else it runs in every step.
    """
    trained = network.trained + (network.width + 1) * shapes.labels
    all_layers = range(network.depth)
    trunk, top = all_layers[: network.trunk], all_layers[network.trunk :]
    epochs = recipe.training.epochs
    lexical = recipe.model.lexical
    vectors = lexical or recipe.training.start == "floor"
    written = _written(trained * shapes.members, epochs, recipe)
    step = _trained(shapes.training, network, recipe)
    held = _forward(shapes.held_out, network, top)
    again = 0.0 if stored else _forward(shapes.training, network, trunk)
    top_calls = len(top) * (3 * len(shapes.training) + len(shapes.held_out))
    single = np.array([[1.0, shapes.answering[:, 1].mean() if len(shapes.answering) else 1.0]])
    timed = min(SINGLE, shapes.test_rows) + WARM_UP
    asked = np.concatenate([shapes.answering, np.repeat(single, timed, axis=0)])
    wide = asked * np.array([shapes.members, 1])
    resampled = shapes.test_rows * recipe.evaluation.bootstrap_samples * RESAMPLE_S
    judged = 1 + 2 * len(recipe.evaluation.baselines)
    frozen = "frozen" in recipe.evaluation.baselines
    base_rows = np.concatenate([shapes.reading, shapes.answering])
    stages = {
        "libraries": Stage(processor_s=1.5),
        "rows": Stage(processor_s=0.2 + shapes.rows * 4e-4),
        "loading": Stage(processor_s=2.0, bytes_written=network.parameters * 4 * 0.3),
        "reading": Stage(
            flops=_forward(shapes.reading, network, trunk),
            layers=len(trunk) * len(shapes.reading),
            processor_s=shapes.characters * 1e-6,
        ),
        "floor": Stage(
            flops=_forward(shapes.reading, network, top) if vectors else 0.0,
            layers=len(top) * len(shapes.reading) if vectors else 0.0,
            processor_s=_floor(shapes, network, lexical=lexical) if vectors else 0.0,
        ),
        "training": Stage(
            flops=epochs * (step + held + again),
            layers=epochs * top_calls,
            bytes_moved=epochs * shapes.steps * trained * shapes.members * STEP_BYTES,
        ),
        "checkpoints": Stage(bytes_written=written),
        "saving": Stage(bytes_written=trained * shapes.members * 4, processor_s=0.05),
        "calibrating": Stage(processor_s=0.05 + shapes.rows * 1e-4),
        "answering": Stage(
            flops=_forward(asked, network, trunk) + _forward(wide, network, top),
            layers=network.depth * len(asked),
            bytes_written=trained * shapes.members * 4,
            processor_s=0.3 + resampled,
        ),
        "baselines": Stage(
            flops=_forward(base_rows, network, all_layers) if frozen else 0.0,
            layers=network.depth * len(base_rows) if frozen else 0.0,
            processor_s=(0.3 if vectors else 1.0)
            + judged * resampled
            + shapes.characters * shapes.labels * SPARSE_S,
        ),
        "report": Stage(processor_s=1.0),
    }
    return Work(shapes, network, trained * shapes.members, epochs, stages)


def _forward(passes: np.ndarray, network: Network, layers: range) -> float:
    """Two operations for each product of each token, and attention, which grows with length."""
    if not len(passes) or not len(layers):
        return 0.0
    tokens, length = passes[:, 0] * passes[:, 1], passes[:, 1]
    products = sum(network.products[layer] for layer in layers)
    attention = 4 * length * network.width * len(layers)
    return float((tokens * (2 * products + attention)).sum())


def _trained(passes: np.ndarray, network: Network, recipe: "Recipe") -> float:
    """One epoch forward and backward.

    A frozen weight needs no gradient, so backward costs as much as forward; where all weights are
    trained, twice as much. An adapter costs both; so does attention.
    """
    top = range(network.trunk, network.depth)
    once = _forward(passes, network, top)
    tokens = passes[:, 0] * passes[:, 1]
    attention = float((tokens * 4 * passes[:, 1] * network.width * len(top)).sum())
    if recipe.adapter.kind == "full":
        return 3 * once
    return 2 * once + attention + float(tokens.sum()) * 6 * network.adapters


def _floor(shapes: Shapes, network: Network, *, lexical: bool) -> float:
    """Seconds of the linear models of all members, and of the n-grams once."""
    fits = 3 if lexical else 1  # three inner folds of two thirds each, and the whole
    linear = fits * shapes.learned * network.width * shapes.labels * LINEAR_S
    ngrams = shapes.characters * LETTER_S + 0.08 * shapes.members if lexical else 0.0
    return 0.9 + linear + ngrams  # importing scikit-learn, the first time it is used


def _written(numbers: int, epochs: int, recipe: "Recipe") -> float:
    """Bytes of all checkpoints: parameters, moments, best, last, and those kept for a rollback."""
    buffered = [min(epoch, recipe.stopping.patience + 1) for epoch in range(1, epochs + 1)]
    kept = epochs + 1 if recipe.stopping.save_every_epoch else 2
    return 4.0 * numbers * (sum(5 + count for count in buffered) + kept)
