"""What a recipe asks a machine to do: tokens, steps, and the arithmetic of each stage."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fucina.plan.answering import label_stages, name_stages, text_stages
from fucina.plan.arithmetic import PACK_S, UNPACK_BYTES, Stage, backward, forward, once
from fucina.plan.network import Network
from fucina.plan.pairs import pair_stages, with_reading
from fucina.plan.shapes import Shapes

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["Work", "work"]

LETTER_S = 15e-6  # to find and count the n-grams of 2 to 5 characters, per character
LINEAR_S = 30e-9  # to fit a linear model, per row, feature and label
WRITE_S = 2.5e-3  # to write a conversation with its template, and to find what is learnt
WRITE_BYTES_S = 600e6  # tensors to disk, fsync included (docs/log.md)
LOGIT_BYTES = 40  # moved for each logit: made, widened, made odds and gradients, narrowed
STEP_BYTES = 88  # moved for each trained number in a step: gradients, sums, AdamW


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
    labels, texts, vocabulary = shapes.labels, shapes.texts, network.head / network.width
    trained = network.trained + (network.width + 1) * labels
    all_layers = range(network.depth)
    trunk, top = all_layers[: network.trunk], all_layers[network.trunk :]
    epochs = recipe.training.epochs
    lexical = bool(labels) and recipe.model.lexical
    vectors = lexical or (bool(labels) and recipe.training.start == "floor")
    beginning = once(shapes.members, texts.prefix)
    # A trunk that is not stored runs the beginning once more for every pass.
    begun = beginning * np.array([len(shapes.training), 1])
    again = forward(shapes.training, network, trunk, texts.prefix) + forward(begun, network, trunk)
    seen = forward(once(1, texts.prefix), network, trunk)
    judging = epochs if labels else epochs + 1  # words are also judged before the first step
    turns = 4 if recipe.engine.checkpointing is True else 3  # there, once more, and back
    passes = turns * len(shapes.training) + len(shapes.held_out)
    passes += len(beginning) * (turns * shapes.steps + 1)
    packed = UNPACK_BYTES if network.packed else 0.0
    unpacked = [packed * sum(network.products[i] for i in part) for part in (trunk, top)]
    stages = {
        "libraries": Stage(processor_s=1.5),
        "rows": Stage(processor_s=0.2 + shapes.rows * 4e-4),
        "loading": Stage(
            processor_s=2.0 + PACK_S * network.packed,
            bytes_written=network.parameters * 4 * 0.3,
        ),
        "reading": Stage(
            flops=forward(shapes.reading, network, trunk, texts.prefix) + seen,
            layers=len(trunk) * (len(shapes.reading) + len(beginning)),
            bytes_moved=len(shapes.reading) * unpacked[0],
            processor_s=shapes.characters * 1e-6 + (0.0 if labels else shapes.rows * WRITE_S),
        ),
        "floor": Stage(
            flops=forward(shapes.reading, network, top) if vectors else 0.0,
            layers=len(top) * len(shapes.reading) if vectors else 0.0,
            processor_s=_floor(shapes, network, lexical=lexical) if vectors else 0.0,
        ),
        "training": Stage(
            flops=epochs * (_epoch(shapes, network, recipe) + (0.0 if stored else again))
            + judging * _judged(shapes, network),
            layers=epochs * len(top) * passes,
            bytes_moved=epochs * passes * unpacked[1] * 2 / 3
            + epochs * shapes.steps * trained * shapes.members * STEP_BYTES
            + (epochs * texts.learnt + judging * texts.held_out) * vocabulary * LOGIT_BYTES,
        ),
        "checkpoints": Stage(bytes_written=_written(trained * shapes.members, epochs, recipe)),
        "saving": Stage(bytes_written=trained * shapes.members * 4, processor_s=0.05),
        "calibrating": Stage(processor_s=0.05 + shapes.rows * 1e-4),
        **_answering(network, shapes)(shapes, network, recipe, trained),
        "report": Stage(processor_s=1.0),
    }
    if not labels:
        del stages["floor"]
        if not texts.labels:
            del stages["calibrating"]
        stages = with_reading(stages, shapes, network, recipe, stored=stored)
    return Work(shapes, network, trained * shapes.members, epochs, stages)


def _answering(network: Network, shapes: Shapes) -> Callable[..., dict[str, Stage]]:
    """What counts judging, for a kind of answer and of network."""
    if shapes.labels or shapes.texts.labels:
        return label_stages if shapes.labels else name_stages
    return text_stages if network.encoder is None else pair_stages


def _epoch(shapes: Shapes, network: Network, recipe: "Recipe") -> float:
    """Operations of the steps of one epoch, there and back."""
    top = range(network.trunk, network.depth)
    full, past = recipe.adapter.kind == "full", shapes.texts.prefix
    begun = once(shapes.members * shapes.steps, past)
    there = forward(shapes.training, network, top, past) + forward(begun, network, top)
    if recipe.engine.checkpointing is True:
        there *= 2
    back = backward(shapes.training, network, full=full, past=past)
    back += backward(begun, network, full=full)
    # The head gives logits and the gradient of the states, and of itself where it is trained.
    head = (3 if network.trains_head else 2) * 2.0 * network.head * shapes.texts.learnt
    return there + back + head


def _judged(shapes: Shapes, network: Network) -> float:
    """Operations to judge all members once on their held-out rows."""
    top, past = range(network.trunk, network.depth), shapes.texts.prefix
    begun = forward(once(shapes.members, past), network, top)
    head = 2.0 * network.head * shapes.texts.held_out
    return begun + forward(shapes.held_out, network, top, past) + head


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
