"""The engine's unit: k adapters and heads over one frozen base, trained and run together.

A plain run is a stack of one. Folds, seeds and trials of a search are members of one stack:
the frozen weights are multiplied once by the rows of all members.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

import torch
from torch import Tensor, nn
from torch.nn import functional

from fucina.models.adapter import AdapterSlot, Noise
from fucina.models.base import Base
from fucina.models.conversations import TextBatch
from fucina.models.halves import StandIn
from fucina.models.prefix import Prefix, begin, run_after
from fucina.models.reader import Reader
from fucina.models.trunk import Batch, Inject, Trunk

__all__ = ["Replica", "Stack", "pool", "pooled", "run_wide"]

Names = list[tuple[str, torch.Size]]


@dataclass
class Replica:
    """One thread's copy of the network's structure; the tensors are shared."""

    network: nn.Module
    inject: Inject | StandIn | None
    noise: Noise


class Stack:
    """Remembers the parameters of k members and runs them.

    Each member's parameters are one flat vector, a row of `adapters` (k x P) or of `heads`
    (k x H), so that clipping, optimizer and checkpoint treat a member as a whole. `leaves` are
    views of them in the shapes the network wants.

    Attributes:
        base: The frozen model.
        depth: Number of trunk layers below the lowest adapted one.
        members: k.
        labels: c.
        adapters: k x P.
        heads: k x (d * c + c).
        names: Name and shape of each adapter parameter, in the order of `adapters`.
    """

    def __init__(self, base: Base, depth: int, labels: int, rank_scale: float) -> None:
        self.base = base
        self.depth = depth
        self.labels = labels
        self.rank_scale = rank_scale
        self.names: Names = []
        self.slots: dict[str, AdapterSlot] = {}
        self.full: dict[str, nn.Parameter] = {}
        self.replicas: list[Replica] = []
        self.trunk: Trunk | None = None
        self.reader: Reader | None = None  # what the trunk is to an encoder-decoder
        self._free: SimpleQueue[int] = SimpleQueue()
        self.adapters = torch.zeros(0, 0)
        self.heads = torch.zeros(0, 0)
        self.leaves: list[Tensor] = []

    @property
    def members(self) -> int:
        """How many members are in the stack."""
        return self.heads.shape[0]

    def bind(self, adapters: Tensor, heads: Tensor) -> None:
        """Take new values for all members, k x P and k x H, and make leaves of them."""
        self.adapters, self.heads = adapters, heads
        members = heads.shape[0]
        self.leaves = []
        begin = 0
        for name, shape in self.names:
            view = adapters[:, begin : begin + shape.numel()]
            begin += shape.numel()
            if name in self.full:  # a member that trains all weights is alone in its stack
                parameter = self.full[name]
                parameter.data = view[0].view(shape)
                self.leaves.append(parameter)
                continue
            leaf = view.view(members, *shape).detach().requires_grad_()
            self.leaves.append(leaf)
            path, part = name.rsplit(".", 1)
            setattr(self.slots[path], part, leaf)
        if not self.labels:
            return
        width = self.base.width
        split = width * self.labels
        self.head = heads[:, :split].view(members, width, self.labels).detach().requires_grad_()
        self.bias = heads[:, split:].view(members, 1, self.labels).detach().requires_grad_()
        self.leaves += [self.head, self.bias]

    def borrow(self) -> int:
        """Wait for a replica that no other thread uses."""
        return self._free.get()

    def give_back(self, worker: int) -> None:
        """Let another thread use the replica."""
        self._free.put(worker)

    def features(self, batch: Batch, worker: int = 0) -> Tensor:
        """Pooled vectors of length sqrt(d), k x b x d."""
        pooled = pool(self.states_of(batch, worker), batch.mask, self.base.pooling)
        return pooled.view(batch.members, -1, pooled.shape[-1])

    def states_of(self, batch: Batch, worker: int = 0) -> Tensor:
        """The last hidden state of each token, k*b x L x d."""
        own = self.replicas[worker]
        if own.inject is not None:
            own.inject.hidden = self._trunk_states(batch)
        mask = self.base.seen(batch.mask)
        return own.network(input_ids=batch.ids, attention_mask=mask).last_hidden_state.float()

    def begin(
        self,
        ids: Tensor,
        worker: int = 0,
        noise_seed: int | None = None,
        *,
        hidden: Tensor | None = None,
    ) -> Prefix:
        """Run the beginning that all rows share, once for each member.

        Args:
            ids: P tokens.
            worker: Which replica computes.
            noise_seed: Seeds dropout; None switches dropout off.
            hidden: P x d, what the trunk makes of them.
        """
        own = self.ready(worker, noise_seed)
        k = self.members
        if own.inject is not None and hidden is not None:
            own.inject.hidden = hidden.expand(k, -1, -1)
        return begin(own.network.get_submodule(self.base.body), ids.expand(k, -1))

    def foretelling(
        self,
        batch: TextBatch,
        worker: int = 0,
        noise_seed: int | None = None,
        *,
        prefix: Prefix | None = None,
    ) -> tuple[Tensor, nn.Module]:
        """The states that foretell the learnt tokens of k members, and the head that reads them.

        Args:
            batch: Rows of all k members.
            worker: Which replica computes; one thread each.
            noise_seed: Seeds dropout; None switches dropout off.
            prefix: What the rows begin with.

        Returns:
            T x d, and a layer from d to the vocabulary.
        """
        own = self.ready(worker, noise_seed)
        if own.inject is not None:
            own.inject.hidden = batch.hidden
        body = own.network.get_submodule(self.base.body)
        states = run_after(body, batch.ids, batch.mask, prefix, branches=batch.branches)
        return states.flatten(0, 1)[batch.places], own.network.get_submodule(self.base.head)

    def ready(self, worker: int, noise_seed: int | None) -> Replica:
        """A replica with its dropout seeded, or off."""
        own = self.replicas[worker]
        own.noise.active = noise_seed is not None
        if noise_seed is not None:
            own.noise.generator.manual_seed(noise_seed)
        return own

    def _trunk_states(self, batch: Batch) -> Tensor | None:
        if batch.hidden is not None or self.trunk is None:
            return batch.hidden
        return self.trunk.run(batch)

    def logits(self, batch: Batch, worker: int = 0, noise_seed: int | None = None) -> Tensor:
        """Scores of the labels, k x b x c, without the lexical part.

        Args:
            batch: Rows of all k members.
            worker: Which replica computes; one thread each.
            noise_seed: Seeds dropout; None switches dropout off.
        """
        self.ready(worker, noise_seed)
        return torch.baddbmm(self.bias, self.features(batch, worker), self.head)

    def token_logits(self, batch: Batch, worker: int = 0, noise_seed: int | None = None) -> Tensor:
        """Scores of the tags of every token, k x b*L x c; arguments as above."""
        self.ready(worker, noise_seed)
        states = self.states_of(batch, worker)
        each = states.reshape(batch.members, -1, states.shape[-1])
        return torch.baddbmm(self.bias, each, self.head)

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.base.network.parameters()).device

    def states(self) -> Tensor:
        """Adapter and head of each member in one row, k x (P + H), a copy."""
        return torch.cat([self.adapters, self.heads], dim=1).detach()

    def split_gradients(self, gradients: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Flatten gradients of `leaves` to the shapes of `adapters` and `heads`."""
        rows = [gradient.reshape(self.members, -1) for gradient in gradients]
        count = len(self.names)
        none = torch.zeros(self.members, 0, device=self.device)
        heads = torch.cat(rows[count:], dim=1) if rows[count:] else none
        return torch.cat(rows[:count], dim=1) if count else none, heads


def run_wide(
    stacks: Sequence[Stack], batch: Batch, head: Callable[[Stack, Batch, int], Tensor]
) -> Tensor:
    """Run the trunk once over b rows, and what is above it once for every member.

    Args:
        stacks: Over one base.
        batch: The rows.
        head: Gives the scores of all members of a stack for their copies of the rows; first
            dimension: members.

    Returns:
        The scores of all members of all stacks, in the memory of the processor.
    """
    parts, first = [], stacks[0]
    batch = batch.to(first.device)
    hidden = first.trunk.run(batch) if first.trunk is not None else None
    for stack in stacks:
        k = stack.members
        # Rows are copied k times only above the trunk, where the members differ.
        copies = None if hidden is None else hidden.repeat(k, 1, 1)
        wide = Batch(batch.ids.repeat(k, 1), batch.mask.repeat(k, 1), copies, k)
        worker = stack.borrow()
        try:
            with torch.no_grad():
                parts.append(head(stack, wide, worker).cpu())
        finally:
            stack.give_back(worker)
    return torch.cat(parts)


def pool(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Make one vector of length sqrt(d) of each row, b x L x d to b x d.

    A fixed length makes heads of different bases alike, so one learning rate suits them all.

    Example:
        >>> states = torch.tensor([[[3.0, 0.0], [0.0, 3.0], [9.0, 9.0]]])
        >>> pool(states, torch.tensor([[1, 1, 0]]), "mean")
        tensor([[1., 1.]])
    """
    vector = pooled(states, mask, pooling)
    return functional.normalize(vector, dim=-1) * states.shape[-1] ** 0.5


def pooled(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Make one vector of each row, as long as its states make it; shapes as above."""
    if pooling == "mean":
        weights = mask[..., None].to(states.dtype)
        return (states * weights).sum(dim=1) / weights.sum(dim=1)
    if pooling == "cls":
        return states[:, 0]
    last = mask.sum(dim=1) - 1
    return states[torch.arange(len(states), device=states.device), last]
