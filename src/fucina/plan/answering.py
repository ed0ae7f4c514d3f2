"""What judging asks for: labels of the test rows, or texts written token by token."""

from typing import TYPE_CHECKING

import numpy as np

from fucina.plan.arithmetic import UNPACK_BYTES, Stage, forward, once
from fucina.plan.network import Network
from fucina.plan.shapes import Shapes
from fucina.tasks.settings import BASE, baselines

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["label_stages", "text_stages"]

SINGLE = 50  # prompts at most that the evaluation times one by one
WARM_UP = 3  # of them are asked twice
WRITTEN_ALONE = 8  # prompts at most whose texts are written one by one
SPARSE_S = 1.2e-6  # to fit a linear model on n-grams, per character and label
READ_BYTES = 2  # of a weight, again for each token that is written
CACHE_BYTES = 4  # of a number of the keys and values so far, which are copied for each token
RESAMPLE_S = 60e-9  # per resample, test row and judged model


def label_stages(
    shapes: Shapes, network: Network, recipe: "Recipe", trained: int
) -> dict[str, Stage]:
    """Answering, and the baselines that answer beside the model.

    Args:
        shapes: Of the rows.
        network: Of the base.
        recipe: For its baselines.
        trained: Parameters of one member.
    """
    all_layers = range(network.depth)
    trunk, top = all_layers[: network.trunk], all_layers[network.trunk :]
    mean = shapes.answering[:, 1].mean() if len(shapes.answering) else 1.0
    timed = min(SINGLE, shapes.test_rows) + WARM_UP
    asked = np.concatenate([shapes.answering, np.repeat(once(1, mean), timed, axis=0)])
    wide = asked * np.array([shapes.members, 1])
    resampled = shapes.test_rows * recipe.evaluation.bootstrap_samples * RESAMPLE_S
    names = baselines(recipe)
    judged, frozen = 1 + 2 * len(names), "frozen" in names
    vectors = recipe.model.lexical or recipe.training.start == "floor"
    base_rows = np.concatenate([shapes.reading, shapes.answering])
    return {
        "answering": Stage(
            flops=forward(asked, network, trunk) + forward(wide, network, top),
            layers=network.depth * len(asked),
            bytes_written=trained * shapes.members * 4,
            processor_s=0.3 + resampled,
        ),
        "baselines": Stage(
            flops=forward(base_rows, network, all_layers) if frozen else 0.0,
            layers=network.depth * len(base_rows) if frozen else 0.0,
            processor_s=(0.3 if vectors else 1.0)
            + judged * resampled
            + shapes.characters * shapes.labels * SPARSE_S,
        ),
    }


def text_stages(
    shapes: Shapes, network: Network, recipe: "Recipe", trained: int
) -> dict[str, Stage]:
    """Foretelling and writing, by the model and by the base alone; arguments as above.

    Answers are counted as long as they may become: how soon a model ends is not known before.
    """
    stacks = shapes.members if recipe.adapter.kind == "full" else 1
    resampled = shapes.test_rows * recipe.evaluation.bootstrap_samples * RESAMPLE_S
    prompts, k = shapes.texts.prompts, shapes.members
    foretold, calls = _foretelling(shapes, network, k)
    written = _writing(prompts, shapes, network, k)
    length = shapes.texts.begun + (prompts[:, 1].mean() if len(prompts) else 1.0)
    singles = np.repeat(once(1, length), min(WRITTEN_ALONE, shapes.test_rows), axis=0)
    timed = _writing(singles, shapes, network, k)
    base_foretold, base_calls = _foretelling(shapes, network, 1)
    base = _writing(prompts, shapes, network, 1)
    beside = BASE in baselines(recipe)
    return {
        "answering": Stage(
            flops=foretold + written.flops + timed.flops,
            layers=stacks * (calls + written.layers),
            alone=stacks * timed.layers,
            bytes_moved=stacks * (written.bytes_moved + timed.bytes_moved),
            bytes_written=trained * k * 4,
            processor_s=0.3 + resampled,
        ),
        "baselines": Stage(
            flops=base_foretold + base.flops,
            layers=base_calls + base.layers,
            bytes_moved=base.bytes_moved,
            processor_s=2 * resampled,
        )
        if beside
        else Stage(),
    }


def _foretelling(shapes: Shapes, network: Network, members: int) -> tuple[float, float]:
    """Operations and layer calls to say how likely the true answers are; rows are run whole."""
    layers = range(network.depth)
    wide = shapes.answering * np.array([members, 1])
    head = 2.0 * members * shapes.texts.test * network.head
    return forward(wide, network, layers) + head, float(network.depth * len(wide))


def _writing(prompts: np.ndarray, shapes: Shapes, network: Network, members: int) -> Stage:
    """The same to write answers: a pass over each batch of prompts, then one for each token."""
    layers = range(network.depth)
    begun, most = shapes.texts.begun, shapes.texts.most
    weights = sum(network.products) + network.head
    flops = forward(once(members, begun), network, layers)
    moved = 0.0
    for rows, length in prompts:
        wide, seen = members * rows, begun + length + most / 2
        flops += forward(once(wide, length), network, layers, begun)
        flops += forward(once(wide * (most - 1), 1), network, layers, seen)
        cache = wide * seen * network.remembered * network.depth
        again = weights * READ_BYTES + network.packed * UNPACK_BYTES
        moved += most * (cache * CACHE_BYTES + again)
    heads = 2.0 * members * prompts[:, 0].sum() * most * network.head
    calls = float(network.depth * most * len(prompts))
    return Stage(flops=flops + heads, layers=calls, bytes_moved=moved)
