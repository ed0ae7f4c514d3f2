"""What one stage asks for, and how many operations passes through a network are."""

from dataclasses import dataclass

import numpy as np

from fucina.plan.network import Network

__all__ = ["PACK_S", "UNPACK_BYTES", "Stage", "backward", "forward", "once"]

UNPACK_BYTES = 4.5  # moved for each number that is unpacked from 4 bits, whenever it multiplies
PACK_S = 50e-9  # to put a number into 4 bits on the processor


@dataclass(frozen=True)
class Stage:
    """What one stage asks for.

    Attributes:
        flops: Multiplications and additions of the network.
        layers: Layer calls, a backward pass counted as two more: on a GPU each costs its launches.
        alone: Layer calls that wait for one another, so that one worker makes them.
        bytes_moved: Parameters, gradients and moments that pass through memory.
        bytes_written: To disk.
        processor_s: Work that no GPU takes over, in seconds on the machine it was measured on.
    """

    flops: float = 0.0
    layers: float = 0.0
    alone: float = 0.0
    bytes_moved: float = 0.0
    bytes_written: float = 0.0
    processor_s: float = 0.0


def once(rows: float, length: float) -> np.ndarray:
    """One pass, or none where there is nothing to run."""
    return np.array([[rows, length]]) if rows and length else np.zeros((0, 2))


def forward(passes: np.ndarray, network: Network, layers: range, past: float = 0) -> float:
    """Two operations for each product of each token, and attention, which grows with length.

    Args:
        passes: p x 2, rows and padded length.
        network: What runs.
        layers: Which of its layers.
        past: Tokens before the first of each row that it looks back at.
    """
    if not len(passes) or not len(layers):
        return 0.0
    tokens, seen = passes[:, 0] * passes[:, 1], passes[:, 1] + past
    products = sum(network.products[layer] for layer in layers)
    attention = 4 * seen * network.width * len(layers)
    return float((tokens * (2 * products + attention)).sum())


def backward(passes: np.ndarray, network: Network, *, full: bool, past: float = 0) -> float:
    """The way back through the trained layers.

    A frozen weight needs no gradient, so backward costs as much as forward; where all weights are
    trained, twice as much. An adapter costs both; so does attention.
    """
    top = range(network.trunk, network.depth)
    there = forward(passes, network, top, past)
    if full:
        return 2 * there
    tokens = passes[:, 0] * passes[:, 1]
    attention = float((tokens * 4 * (passes[:, 1] + past) * network.width * len(top)).sum())
    return there + attention + float(tokens.sum()) * 6 * network.adapters
