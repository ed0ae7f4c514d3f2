"""The frozen layers below the lowest adapted one: run once per text, reused by all."""

import copy
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from fucina.models.base import Base, layers_of
from fucina.models.prefix import Prefix, begin, run_after
from fucina.models.tokenize import Encoded, chunks_by_length, pad
from fucina.records import Progress, silent

if TYPE_CHECKING:
    from fucina.models.conversations import TextBatch, Written

__all__ = [
    "Activations",
    "Batch",
    "Inject",
    "Skip",
    "Trunk",
    "activations",
    "assemble",
    "chunks_by_length",
    "keep_in",
    "replica",
    "text_activations",
]


class Skip(nn.Module):
    """Stands in for a layer that need not run: gives its input back.

    Args:
        layer: The one that it stands for.
        tuple_output: Whether layers return a tuple.
    """

    def __init__(self, layer: nn.Module, *, tuple_output: bool) -> None:
        super().__init__()
        self.tuple_output = tuple_output
        # ModernBERT asks each layer for it, to choose what it is called with.
        self.attention_type = getattr(layer, "attention_type", None)

    def forward(self, hidden: Tensor, *_: object, **__: object) -> Tensor | tuple[Tensor]:
        """Return `hidden`; whatever else a layer is called with does not matter."""
        return (hidden,) if self.tuple_output else hidden


class Inject(nn.Module):
    """Stands in for the highest frozen layer: gives stored activations instead of computing.

    Args:
        layer: The one that it stands for.
        tuple_output: Whether layers return a tuple.
    """

    def __init__(self, layer: nn.Module, *, tuple_output: bool) -> None:
        super().__init__()
        self.tuple_output = tuple_output
        self.attention_type = getattr(layer, "attention_type", None)
        self.hidden: Tensor | None = None

    def forward(self, hidden: Tensor, *_: object, **__: object) -> Tensor | tuple[Tensor]:
        """Return what was stored; with nothing stored, `hidden`."""
        stored = hidden if self.hidden is None else self.hidden
        return (stored,) if self.tuple_output else stored


@dataclass(frozen=True)
class Activations:
    """What comes out of the trunk for n texts, without padding.

    Attributes:
        flat: (all tokens + 1) x d; the last row is zero and stands for padding.
        starts: Where each text begins in `flat`, n.
    """

    flat: Tensor
    starts: np.ndarray

    def padded(self, rows: np.ndarray, mask: np.ndarray) -> Tensor:
        """What came out for b texts, b x L x d; zero where the mask, b x L, is.

        Example:
            >>> one = Activations(torch.tensor([[1.0], [2.0], [0.0]]), np.array([0, 1]))
            >>> one.padded(np.array([1]), np.array([[1, 0]])).tolist()
            [[[2.0], [0.0]]]
        """
        padding = self.flat.shape[0] - 1
        places = self.starts[rows][:, None] + np.arange(mask.shape[1])
        return self.flat[torch.from_numpy(np.where(mask == 1, places, padding))]


@dataclass(frozen=True)
class Batch:
    """Rows of k members, padded to one length L.

    Attributes:
        ids: k*b x L token ids.
        mask: k*b x L, 1 where there is a token.
        hidden: k*b x L x d trunk activations; None when the trunk has to run.
        members: k.
    """

    ids: Tensor
    mask: Tensor
    hidden: Tensor | None
    members: int

    def to(self, device: torch.device) -> "Batch":
        """The same batch where the network computes."""
        hidden = None if self.hidden is None else self.hidden.to(device)
        return Batch(self.ids.to(device), self.mask.to(device), hidden, self.members)


def replica(module: nn.Module) -> nn.Module:
    """Copy the structure of a network while sharing its tensors, for use in another thread."""
    shared = {id(t): t for t in [*module.parameters(), *module.buffers()]}
    return copy.deepcopy(module, shared)


def assemble(
    encoded: Encoded, rows: np.ndarray, pad_id: int, *, store: Activations | None = None
) -> Batch:
    """Pad the rows of k members into one batch.

    Args:
        encoded: Token ids of all texts.
        rows: k x b indices into `encoded`.
        pad_id: The token that fills up.
        store: Trunk activations of the same texts.
    """
    order = rows.reshape(-1)
    ids, mask = pad(encoded, order, pad_id)
    hidden = None if store is None else store.padded(order, mask)
    return Batch(torch.from_numpy(ids), torch.from_numpy(mask), hidden, rows.shape[0])


class Trunk:
    """The lowest layers of a base, ready to run in several threads.

    Args:
        base: The frozen model.
        depth: How many layers, 1 to `base.depth`.
        workers: How many threads may call `run` at once.
    """

    def __init__(self, base: Base, depth: int, workers: int) -> None:
        self.base = base
        network = replica(base.network)
        layers = layers_of(network, base.layers)
        for index in range(depth, base.depth):
            layers[index] = Skip(layers[index], tuple_output=base.tuple_output)
        self._free: SimpleQueue = SimpleQueue()
        for _ in range(workers):
            own = replica(network)
            kept: list[Tensor] = []
            layers_of(own, base.layers)[depth - 1].register_forward_hook(keep_in(kept))
            self._free.put((own, kept))

    def run(self, batch: Batch) -> Tensor:
        """Hidden states after the trunk, b x L x d, without gradients."""
        mask = self.base.seen(batch.mask)
        return self._kept(lambda body: body(input_ids=batch.ids, attention_mask=mask))[1]

    def begin(self, ids: Tensor) -> tuple[Prefix, Tensor]:
        """What the trunk remembers of a beginning of P tokens, and its states, 1 x P x d."""
        return self._kept(lambda body: begin(body, ids[None]))

    def run_after(self, batch: "TextBatch", prefix: Prefix | None) -> Tensor:
        """Hidden states after the trunk of rows behind a shared beginning, b x L x d."""
        return self._kept(
            lambda body: run_after(body, batch.ids, batch.mask, prefix, branches=batch.branches)
        )[1]

    def _kept(self, run: Callable[[nn.Module], Any]) -> tuple[Any, Tensor]:
        """Run the trunk in whichever replica is free; returns what came of it and its states."""
        own, kept = self._free.get()
        try:
            with torch.no_grad():
                found = run(own.get_submodule(self.base.body))
            return found, kept.pop()
        finally:
            self._free.put((own, kept))


def keep_in(kept: list[Tensor]) -> Callable[..., None]:
    """Give a hook that keeps what a layer puts out."""

    def hook(*called: Any) -> None:
        output = called[2]  # after the module and its inputs
        kept.append(output[0] if isinstance(output, tuple) else output)

    return hook


def activations(
    trunk: Trunk, encoded: Encoded, *, threads: Executor, progress: Progress = silent
) -> Activations:
    """Run the trunk once over all texts and keep what comes out, without padding.

    Args:
        trunk: The frozen layers.
        encoded: n texts.
        threads: Where chunks run; each thread must compute on one core.
        progress: Told after each chunk.
    """
    base = trunk.base
    parameter = next(base.network.parameters())
    lengths = encoded.lengths
    starts = np.concatenate([[0], np.cumsum(lengths)])
    flat = torch.zeros(int(starts[-1]) + 1, base.width, dtype=parameter.dtype)

    def run(rows: np.ndarray) -> None:
        batch = assemble(encoded, rows[None], base.tokenizer.pad_token_id).to(parameter.device)
        hidden = trunk.run(batch).to(flat.device)
        for i, row in enumerate(rows):
            flat[starts[row] : starts[row + 1]] = hidden[i, : lengths[row]]

    chunks = chunks_by_length(lengths, np.arange(len(encoded)))
    for done, _ in enumerate(threads.map(run, chunks), start=1):
        progress("reading the texts once", done, len(chunks))
    return Activations(flat, starts[:-1])


def text_activations(
    trunk: Trunk, written: "Written", *, threads: Executor, progress: Progress = silent
) -> tuple[Activations, Tensor | None]:
    """Run the trunk once over all conversations, and once over the beginning they share.

    Args:
        trunk: The frozen layers.
        written: n conversations.
        threads: Where chunks run; each thread must compute on one core.
        progress: Told after each chunk.

    Returns:
        What comes out for the rows behind the beginning, and for the beginning, P x d.
    """
    from fucina.models.conversations import assemble_texts

    base = trunk.base
    parameter = next(base.network.parameters())
    prefix, first = None, None
    if written.prefix:
        shared = torch.from_numpy(written.ids[0][: written.prefix]).to(parameter.device)
        prefix, first = trunk.begin(shared)
    lengths = written.lengths
    starts = np.concatenate([[0], np.cumsum(lengths)])
    flat = torch.zeros(int(starts[-1]) + 1, base.width, dtype=parameter.dtype)

    def run(rows: np.ndarray) -> None:
        batch = assemble_texts(written, rows[None], base.tokenizer.pad_token_id)
        hidden = trunk.run_after(batch.to(parameter.device), prefix).to(flat.device)
        for i, row in enumerate(rows):
            flat[starts[row] : starts[row + 1]] = hidden[i, : lengths[row]]

    chunks = chunks_by_length(lengths, np.arange(len(written)))
    for done, _ in enumerate(threads.map(run, chunks), start=1):
        progress("reading the conversations once", done, len(chunks))
    return Activations(flat, starts[:-1]), None if first is None else first[0]
