"""What an encoder-decoder asks for beside its decoder's own passes: reading, and looking across."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fucina.plan.answering import CACHE_BYTES, READ_BYTES, RESAMPLE_S, WRITTEN_ALONE
from fucina.plan.arithmetic import Stage, backward, forward, once
from fucina.plan.network import Network
from fucina.plan.shapes import Shapes
from fucina.tasks.settings import BASE, baselines

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["pair_stages", "source_bytes", "with_reading"]

WRITE_S = 0.4e-3  # to write a row as tokens to read and to write


def crossing(targets: np.ndarray, sources: np.ndarray, network: Network, layers: range) -> float:
    """Operations of a decoder that looks at what was read: its keys and values, and attention.

    Args:
        targets: Passes, p x 2: rows and padded length of what is written.
        sources: The same passes: rows and padded length of what is read.
        network: The decoder.
        layers: Which of its layers.
    """
    if not len(targets) or not len(layers):
        return 0.0
    products = 2 * sum(network.crossed[layer] for layer in layers)
    made = float((sources[:, 0] * sources[:, 1]).sum()) * products
    looked = targets[:, 0] * targets[:, 1] * sources[:, 1]
    return made + 4.0 * network.width * len(layers) * float(looked.sum())


def with_reading(
    stages: Mapping[str, Stage], shapes: Shapes, network: Network, recipe: "Recipe", *, stored: bool
) -> dict[str, Stage]:
    """Add what is read to the stages of a decoder that only writes.

    Args:
        stages: Of the decoder, by name.
        shapes: Of the rows.
        network: Of the base.
        recipe: For epochs and adapters.
        stored: Whether what frozen layers say fits in memory; else they run in every step.
    """
    encoder, sources = network.encoder, shapes.texts.sources
    if encoder is None or sources is None:
        return dict(stages)
    every, read = range(network.depth), range(encoder.depth)
    trunk, top = every[: network.trunk], every[network.trunk :]
    epochs = recipe.training.epochs
    frozen = encoder.trunk > 0
    once_read = forward(sources.reading, encoder, read)
    once_read += crossing(shapes.reading, sources.reading, network, trunk)
    step = crossing(shapes.training, sources.training, network, top)
    step *= 2  # there and back; of a frozen encoder only half of the way back is wanted
    step += float((sources.training[:, 0] * sources.training[:, 1]).sum()) * (
        6 * network.crossed_adapters
    )
    judged = crossing(shapes.held_out, sources.held_out, network, top)
    calls = 0.0
    if not frozen:
        full = recipe.adapter.kind == "full"
        step += forward(sources.training, encoder, read) + backward(
            sources.training, encoder, full=full
        )
        judged += forward(sources.held_out, encoder, read)
        calls = encoder.depth * (3 * len(sources.training) + len(sources.held_out))
    elif not stored:
        step += forward(sources.training, encoder, read)
        step += crossing(shapes.training, sources.training, network, trunk)
        judged += forward(sources.held_out, encoder, read)
        calls = encoder.depth * (len(sources.training) + len(sources.held_out))
    reading, training = stages["reading"], stages["training"]
    return {
        **stages,
        "reading": replace(
            reading,
            flops=reading.flops + (once_read if frozen else 0.0),
            layers=reading.layers + (encoder.depth * len(sources.reading) if frozen else 0),
            processor_s=shapes.characters * 1e-6 + shapes.rows * WRITE_S,
        ),
        "training": replace(
            training,
            flops=training.flops + epochs * step + (epochs + 1) * judged,
            layers=training.layers + epochs * calls,
        ),
    }


def pair_stages(
    shapes: Shapes, network: Network, recipe: "Recipe", trained: int
) -> dict[str, Stage]:
    """Foretelling and writing, by the model and by the base alone; as `text_stages`."""
    stacks = shapes.members if recipe.adapter.kind == "full" else 1
    resampled = shapes.test_rows * recipe.evaluation.bootstrap_samples * RESAMPLE_S
    prompts, k = shapes.texts.prompts, shapes.members
    length = prompts[:, 1].mean() if len(prompts) else 1.0
    singles = np.repeat(once(1, length), min(WRITTEN_ALONE, shapes.test_rows), axis=0)
    model = [_foretold(shapes, network, k), _written(prompts, shapes, network, k)]
    alone = _written(singles, shapes, network, k)
    base = [_foretold(shapes, network, 1), _written(prompts, shapes, network, 1)]
    return {
        "answering": Stage(
            flops=sum(stage.flops for stage in (*model, alone)),
            layers=stacks * sum(stage.layers for stage in model),
            alone=stacks * alone.layers,
            bytes_moved=stacks * sum(stage.bytes_moved for stage in (*model, alone)),
            bytes_written=trained * k * 4,
            processor_s=0.3 + resampled,
        ),
        "baselines": Stage(
            flops=sum(stage.flops for stage in base),
            layers=sum(stage.layers for stage in base),
            bytes_moved=sum(stage.bytes_moved for stage in base),
            processor_s=2 * resampled,
        )
        if BASE in baselines(recipe)
        else Stage(),
    }


def _read(rows: np.ndarray, network: Network, members: int) -> float:
    """Operations to read prompts: once for all members where their encoder is the same."""
    encoder = network.encoder
    if encoder is None:
        return 0.0
    wide = rows if encoder.trunk else rows * np.array([members, 1])
    return forward(wide, encoder, range(encoder.depth))


def _foretold(shapes: Shapes, network: Network, members: int) -> Stage:
    """To say how likely the true answers are."""
    sources, layers = shapes.texts.sources, range(network.depth)
    if sources is None or network.encoder is None:
        return Stage()
    wide = shapes.answering * np.array([members, 1])
    flops = _read(sources.answering, network, members) + forward(wide, network, layers)
    flops += members * crossing(shapes.answering, sources.answering, network, layers)
    flops += 2.0 * members * shapes.texts.test * network.head
    return Stage(flops=flops, layers=float((network.depth + network.encoder.depth) * len(wide)))


def _written(prompts: np.ndarray, shapes: Shapes, network: Network, members: int) -> Stage:
    """To write answers: what is read once, then a pass of the decoder for each token."""
    layers, most = range(network.depth), shapes.texts.most
    encoder_depth = network.encoder.depth if network.encoder else 0
    weights = sum(network.products) + network.head
    flops, moved = _read(prompts, network, members), 0.0
    for rows, length in prompts.tolist():
        wide = members * rows
        flops += crossing(once(wide, most), once(wide, length), network, layers)
        flops += forward(once(wide * most, 1), network, layers, most / 2)
        cache = 2 * wide * (most / 2) * network.width * network.depth
        moved += most * (cache * CACHE_BYTES + weights * READ_BYTES)
    heads = 2.0 * members * float(prompts[:, 0].sum()) * most * network.head
    calls = float((network.depth * most + encoder_depth) * len(prompts))
    return Stage(flops=flops + heads, layers=calls, bytes_moved=moved)


def source_bytes(shapes: Shapes, network: Network, saved: float, weight_bytes: int) -> float:
    """What the largest pass keeps of what is read, for its way back.

    Args:
        shapes: Of the rows.
        network: Of the base.
        saved: Hidden states that a layer keeps beside what its products put out.
        weight_bytes: Of a frozen number.
    """
    encoder, sources = network.encoder, shapes.texts.sources
    if encoder is None or sources is None or not len(sources.training):
        return 0.0
    rows, length = sources.training[:, 0], sources.training[:, 1]
    tokens = float((rows * length).max())
    top = network.depth - network.trunk
    looked = float((rows * length * shapes.training[:, 1]).max()) * top
    kept = 2.0 * network.width * top  # keys and values of each trained layer
    squares = 0.0
    if not encoder.trunk:
        kept += sum(encoder.outputs) + saved * encoder.width * encoder.depth
        squares = float((rows * length * length).max()) * encoder.depth
    return tokens * kept * (weight_bytes + 4) / 2 + 4 * (looked + squares)
