"""The frozen part of an encoder-decoder, and a pass of its trained part over a batch."""

from concurrent.futures import Executor
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from fucina.models.base import layers_of
from fucina.models.halves import Halves, StandIn
from fucina.models.pairs import PairBatch, Pairs, assemble_pairs
from fucina.models.trunk import Activations, chunks_by_length, keep_in, replica
from fucina.records import Progress, silent

if TYPE_CHECKING:
    from fucina.models.base import Base
    from fucina.models.stack import Stack

__all__ = ["Kept", "Reader", "foretell_pairs", "keep", "read_sources"]


@dataclass(frozen=True)
class Kept:
    """What the frozen layers make of n rows.

    Attributes:
        sources: What the encoder makes of what is read.
        targets: What the frozen layers of the decoder make of what is written; None for none.
    """

    sources: Activations
    targets: Activations | None


class Reader:
    """The encoder, and the layers of the decoder below the lowest trained one, without gradients.

    Args:
        base: An encoder-decoder.
        depth: How many layers of its decoder are frozen, from below.
        workers: How many threads may read at once.
    """

    def __init__(self, base: "Base", depth: int, workers: int) -> None:
        self.base = base
        self.halves = cast("Halves", base.halves)
        self.depth = depth if self.halves.stands else 0
        network = replica(base.network)
        layers = layers_of(network, base.layers)
        for index in range(self.depth, len(layers)):
            layers[index] = StandIn(layers[index])
        self._free: SimpleQueue = SimpleQueue()
        for _ in range(workers):
            own = replica(network)
            kept: list[Tensor] = []
            if self.depth:
                layers_of(own, base.layers)[self.depth - 1].register_forward_hook(keep_in(kept))
            self._free.put((own, kept))

    def leave_out(self, layers: nn.ModuleList) -> None:
        """Put stand-ins in the place of the frozen layers of a decoder."""
        for index in range(self.depth):
            layers[index] = StandIn(layers[index])

    def run(self, batch: PairBatch) -> PairBatch:
        """The same batch with what the frozen layers make of it."""
        own, kept = self._free.get()
        try:
            with torch.no_grad():
                read = read_sources(own, self.halves, batch.sources, batch.mask)
                if self.depth:
                    _decode(own, self.base, batch, read)
            return replace(batch, read=read, hidden=kept.pop() if kept else None)
        finally:
            self._free.put((own, kept))


def read_sources(network: nn.Module, halves: Halves, sources: Tensor, mask: Tensor) -> Tensor:
    """What the encoder makes of b sources of length S, b x S x d."""
    encoder: Any = network.get_submodule(halves.encoder)
    return encoder(input_ids=sources, attention_mask=mask).last_hidden_state


def _decode(network: nn.Module, base: "Base", batch: PairBatch, read: Tensor) -> Tensor:
    decoder: Any = network.get_submodule(base.body)
    return decoder(
        input_ids=batch.ids,
        encoder_hidden_states=read,
        encoder_attention_mask=batch.mask,
        use_cache=False,
    ).last_hidden_state


def foretell_pairs(
    stack: "Stack", batch: PairBatch, worker: int = 0, noise_seed: int | None = None
) -> tuple[Tensor, nn.Module]:
    """The states that foretell the learnt tokens of k members, and the head that reads them.

    Args:
        stack: The members.
        batch: Rows of all of them.
        worker: Which replica computes; one thread each.
        noise_seed: Seeds dropout; None switches dropout off.

    Returns:
        T x d, and a layer from d to the vocabulary.
    """
    base, halves = stack.base, cast("Halves", stack.base.halves)
    own = stack.ready(worker, noise_seed)
    if stack.reader is not None and batch.read is None:
        batch = stack.reader.run(batch)
    if own.inject is not None:
        own.inject.hidden = batch.hidden
    read = batch.read
    if read is None:
        read = read_sources(own.network, halves, batch.sources, batch.mask)
    states = _decode(own.network, base, batch, read)
    found = states.flatten(0, 1)[batch.places] * halves.scale
    return found, own.network.get_submodule(base.head)


def keep(reader: Reader, pairs: Pairs, *, threads: Executor, progress: Progress = silent) -> Kept:
    """Run the frozen layers once over all rows and keep what comes out, without padding.

    Args:
        reader: The frozen layers.
        pairs: n rows.
        threads: Where chunks run; each thread must compute on one core.
        progress: Told after each chunk.
    """
    base, parameter = reader.base, next(reader.base.network.parameters())
    sources = _empty(pairs.source_lengths, base.width, parameter.dtype)
    targets = _empty(pairs.target_lengths, base.width, parameter.dtype) if reader.depth else None

    def run(rows: np.ndarray) -> None:
        batch = assemble_pairs(pairs, rows[None], base, reader.halves.start)
        found = reader.run(batch.to(parameter.device))
        for store, states, lengths in (
            (sources, found.read, pairs.source_lengths),
            (targets, found.hidden, pairs.target_lengths),
        ):
            if store is not None and states is not None:
                own = states.to(store.flat.device)
                for i, row in enumerate(rows):
                    begin = store.starts[row]
                    store.flat[begin : begin + lengths[row]] = own[i, : lengths[row]]

    chunks = chunks_by_length(pairs.lengths, np.arange(len(pairs)))
    for done, _ in enumerate(threads.map(run, chunks), start=1):
        progress("reading the texts once", done, len(chunks))
    return Kept(sources, targets)


def _empty(lengths: np.ndarray, width: int, dtype: torch.dtype) -> Activations:
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Activations(torch.zeros(int(starts[-1]) + 1, width, dtype=dtype), starts[:-1])
