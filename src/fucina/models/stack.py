"""The engine's unit: k adapters and heads over one frozen base, trained and run together.

A plain run is a stack of one. Folds, seeds and trials of a search are members of one stack:
the frozen weights are multiplied once by the rows of all members.
"""

from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from fucina.errors import TrainingError
from fucina.models.adapter import AdapterSlot, Noise, StackedLinear, initial_a
from fucina.models.base import Base
from fucina.models.targets import resolve
from fucina.models.trunk import Batch, Inject, Skip, Trunk, replica

if TYPE_CHECKING:
    from fucina.config import AdapterConfig

__all__ = ["Stack", "build", "pool", "trunk_depth"]

Names = list[tuple[str, torch.Size]]


@dataclass
class _Replica:
    """One thread's copy of the network's structure; the tensors are shared."""

    network: nn.Module
    inject: Inject | None
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
        self.replicas: list[_Replica] = []
        self.trunk: Trunk | None = None
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
        own = self.replicas[worker]
        if own.inject is not None:
            own.inject.hidden = self.trunk.run(batch) if batch.hidden is None else batch.hidden
        states = own.network(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        pooled = pool(states.float(), batch.mask, self.base.pooling)
        return pooled.view(batch.members, -1, pooled.shape[-1])

    def logits(self, batch: Batch, worker: int = 0, noise_seed: int | None = None) -> Tensor:
        """Scores of the labels, k x b x c, without the lexical part.

        Args:
            batch: Rows of all k members.
            worker: Which replica computes; one thread each.
            noise_seed: Seeds dropout; None switches dropout off.
        """
        noise = self.replicas[worker].noise
        noise.active = noise_seed is not None
        if noise_seed is not None:
            noise.generator.manual_seed(noise_seed)
        return torch.baddbmm(self.bias, self.features(batch, worker), self.head)

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.base.network.parameters()).device

    def states(self) -> Tensor:
        """Adapter and head of each member in one row, k x (P + H), a copy."""
        return torch.cat([self.adapters, self.heads], dim=1).detach()

    def split_gradients(self, gradients: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Flatten gradients of `leaves` to the shapes of `adapters` and `heads`."""
        members = self.members
        rows = [gradient.reshape(members, -1) for gradient in gradients]
        count = len(self.names)
        heads = torch.cat(rows[count:], dim=1)
        if not count:
            return torch.zeros(members, 0, device=heads.device), heads
        return torch.cat(rows[:count], dim=1), heads


def trunk_depth(config: "AdapterConfig", base: Base) -> int:
    """Count the layers that stay frozen below the lowest trained one.

    Example:
        >>> from types import SimpleNamespace as Fake
        >>> from fucina.config import AdapterConfig
        >>> trunk_depth(AdapterConfig(layers=2), Fake(depth=6))
        4
    """
    if config.kind == "head":
        return base.depth
    if config.layers == "all":
        return 0
    return max(0, base.depth - config.layers)


def build(
    base: Base, config: "AdapterConfig", *, members: int, labels: int, seed: int, workers: int
) -> Stack:
    """Put k fresh adapters and zero heads on a base.

    Args:
        base: The frozen model; it is not changed.
        config: What is trained.
        members: k, 1 or more; 1 when all weights are trained.
        labels: c.
        seed: Draws the adapters; member f of a stack of any size starts the same.
        workers: How many threads will compute at once.

    Raises:
        ModelError: `target_modules` match nothing.
        TrainingError: More than one member with kind `full`.
    """
    depth = trunk_depth(config, base)
    stack = Stack(base, depth, labels, config.alpha / config.rank)
    if depth:
        stack.trunk = Trunk(base, depth, workers)
    network = replica(base.network)
    layers = network.get_submodule(base.layers)
    for index in range(depth):
        layers[index] = Skip(tuple_output=base.tuple_output)
    if depth:
        layers[depth - 1] = Inject(tuple_output=base.tuple_output)
    noise = Noise(torch.Generator(_device(base)))
    if config.kind == "full":
        if members != 1:
            raise TrainingError(
                f"{members} members cannot train all weights in one stack.",
                fix="Train them one after the other, or use adapter.kind: lora.",
            )
        adapters = _unfreeze(stack, network, layers, depth)
    elif config.kind == "lora":
        adapters = _adapt(stack, layers, config, noise, members, seed)
    else:
        adapters = torch.zeros(members, 0, device=_device(base))
    # Without this, HF layers keep only the state; replicas must each find their own stand-in.
    for _ in range(workers):
        own = _copy(network, stack, noise)
        inject = own.network.get_submodule(base.layers)[depth - 1] if depth else None
        stack.give_back(len(stack.replicas))
        stack.replicas.append(_Replica(own.network, inject, own.noise))
    heads = torch.zeros(members, (base.width + 1) * labels, device=_device(base))
    stack.bind(adapters, heads)
    return stack


def pool(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Make one vector of length sqrt(d) of each row, b x L x d to b x d.

    A fixed length makes heads of different bases alike, so one learning rate suits them all.

    Example:
        >>> states = torch.tensor([[[3.0, 0.0], [0.0, 3.0], [9.0, 9.0]]])
        >>> pool(states, torch.tensor([[1, 1, 0]]), "mean")
        tensor([[1., 1.]])
    """
    if pooling == "mean":
        weights = mask[..., None].to(states.dtype)
        vector = (states * weights).sum(dim=1) / weights.sum(dim=1)
    elif pooling == "cls":
        vector = states[:, 0]
    else:
        last = mask.sum(dim=1) - 1
        vector = states[torch.arange(len(states), device=states.device), last]
    return functional.normalize(vector, dim=-1) * states.shape[-1] ** 0.5


def _device(base: Base) -> torch.device:
    return next(base.network.parameters()).device


def _adapt(
    stack: Stack,
    layers: nn.ModuleList,
    config: "AdapterConfig",
    noise: Noise,
    members: int,
    seed: int,
) -> Tensor:
    """Replace the target layers by adapted ones; returns the k x P start values."""
    rows: list[list[Tensor]] = [[] for _ in range(members)]
    generators = [torch.Generator().manual_seed(seed + 1009 * member) for member in range(members)]
    empty = torch.zeros(0)
    for index in range(stack.depth, len(layers)):
        for name in resolve(layers[index], config.target_modules):
            linear = layers[index].get_submodule(name)
            path = f"{stack.base.layers}.{index}.{name}"
            transposed = not isinstance(linear, nn.Linear)
            width, out = linear.weight.shape if transposed else linear.weight.shape[::-1]
            stack.slots[path] = AdapterSlot(empty, empty)
            stack.names.append((f"{path}.a", torch.Size((width, config.rank))))
            stack.names.append((f"{path}.b", torch.Size((config.rank, out))))
            adapted = StackedLinear(
                linear,
                stack.slots[path],
                scale=stack.rank_scale,
                dropout=config.dropout,
                noise=noise,
            )
            layers[index].set_submodule(name, adapted)
            for row, generator in zip(rows, generators, strict=True):
                row.append(initial_a(width, config.rank, generator).flatten())
                row.append(torch.zeros(config.rank * out))
    return torch.stack([torch.cat(row) for row in rows]).to(_device(stack.base))


def _unfreeze(stack: Stack, network: nn.Module, layers: nn.ModuleList, depth: int) -> Tensor:
    """Make own copies of the weights to train; returns them as 1 x P."""
    prefix = f"{stack.base.layers}."
    row: list[Tensor] = []
    for name, parameter in list(network.named_parameters()):
        inside = name.startswith(prefix)
        index = int(name[len(prefix) :].split(".", 1)[0]) if inside else -1
        # A norm after the layers is trained too; the pooler is not used, embeddings lie below.
        above = not inside and ("norm" in name.lower() and "embed" not in name.lower())
        if depth and not (above or index >= depth):
            continue
        if "pooler" in name:
            continue
        own = nn.Parameter(parameter.detach().clone())
        path, last = name.rsplit(".", 1) if "." in name else ("", name)
        setattr(network.get_submodule(path), last, own)
        stack.full[name] = own
        stack.names.append((name, own.shape))
        row.append(own.detach().flatten())
    del layers
    return torch.cat(row)[None].clone()


def _copy(network: nn.Module, stack: Stack, noise: Noise) -> _Replica:
    """Copy the structure for one thread: tensors and slots shared, dropout its own."""
    import copy

    shared: dict[int, object] = {id(t): t for t in [*network.parameters(), *network.buffers()]}
    shared |= {id(slot): slot for slot in stack.slots.values()}
    for module in network.modules():
        if isinstance(module, StackedLinear):
            shared |= {id(t): t for t in (module.weight, module.bias) if t is not None}
    own_noise = Noise(torch.Generator(noise.generator.device))
    shared[id(noise)] = own_noise
    return _Replica(copy.deepcopy(network, shared), None, own_noise)
