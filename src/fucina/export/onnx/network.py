"""k trained members as one plain network: adapters merged, frozen layers shared and run once."""

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from fucina.export.merging import merged_weight
from fucina.models.adapter import StackedLinear
from fucina.models.base import Base, layers_of
from fucina.models.packed import whole
from fucina.models.product import PackedLinear, QuickLinear
from fucina.models.stack import Stack
from fucina.models.targets import is_transposed
from fucina.models.trunk import Inject, Skip, keep_in

__all__ = ["Together", "merged"]

Memo = dict[int, object]


class Together(nn.Module):
    """Token ids to what every member makes of them.

    Args:
        base: The frozen model; it is not changed.
        stacks: Of members with heads of classes.
        tokens: Score every token, as taggers do; else every text, pooled.

    Raises:
        ModelError: The base is not made of a list of layers.
    """

    def __init__(self, base: Base, stacks: Sequence[Stack], *, tokens: bool) -> None:
        super().__init__()
        self.base, self.tokens = base, tokens
        memo = _wide(base.network)
        self.kept: list[Tensor] = []
        depth = stacks[0].depth if stacks[0].trunk is not None else 0
        self.trunk = _trunk(base, depth, memo, self.kept) if depth else None
        bodies: list[nn.Module] = []
        self.places: list[int] = []  # which body each member reads
        for stack in stacks:
            own = [
                _member(stack, member, memo)
                # Without adapters all members see the same states.
                for member in range(stack.members if stack.names else 1)
            ]
            self.places += [
                len(bodies) + (member if stack.names else 0) for member in range(stack.members)
            ]
            bodies += own
        self.bodies = nn.ModuleList(bodies)
        self.injects = [
            cast("Inject", layers_of(body, base.layers)[depth - 1]) if depth else None
            for body in bodies
        ]
        self.heads = nn.ModuleList(
            _head(stack.head[member], stack.bias[member])
            for stack in stacks
            for member in range(stack.members)
        )
        self.eval().requires_grad_(False)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Scores of the labels.

        Args:
            ids: b x L tokens.
            mask: b x L, 1 where there is a token.

        Returns:
            k x b x c; k x b x L x c of taggers.
        """
        seen = self.base.seen(mask)
        hidden = None
        if self.trunk is not None:
            self.trunk(input_ids=ids, attention_mask=seen)
            hidden = self.kept.pop()
        vectors = []
        for body, inject in zip(self.bodies, self.injects, strict=True):
            if inject is not None:
                inject.hidden = hidden
            states = body(input_ids=ids, attention_mask=seen).last_hidden_state.float()
            vectors.append(states if self.tokens else _pool(states, mask, self.base.pooling))
            if inject is not None:
                inject.hidden = None
        scores = [head(vectors[place]) for place, head in zip(self.places, self.heads, strict=True)]
        return torch.stack(scores)


def _pool(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """As `models.stack.pool`, in operations that leave the number of rows open."""
    if pooling == "mean":
        weights = mask[..., None].to(states.dtype)
        vector = (states * weights).sum(dim=1) / weights.sum(dim=1)
    elif pooling == "cls":
        vector = states[:, 0]
    else:
        last = (mask.sum(dim=1) - 1)[:, None, None].expand(-1, 1, states.shape[-1])
        vector = states.gather(1, last)[:, 0]
    return functional.normalize(vector, dim=-1) * states.shape[-1] ** 0.5


def _wide(network: nn.Module) -> Memo:
    """What stands for each tensor of a base: the same numbers in float32 on the processor."""
    memo: Memo = {}
    for tensor in [*network.parameters(), *network.buffers()]:
        kind = torch.float32 if tensor.is_floating_point() else tensor.dtype
        own = tensor.detach().to("cpu", kind)
        if isinstance(tensor, nn.Parameter):
            own = nn.Parameter(own, requires_grad=False)
        memo[id(tensor)] = own
    return memo


def _plain(network: nn.Module, memo: Memo, member: int) -> nn.Module:
    """A copy for one member: plain layers in place of this program's, tensors shared."""
    own = dict(memo)
    for module in network.modules():
        if isinstance(module, StackedLinear):
            own[id(module)] = _linear(merged(module, member), module.bias)
        elif isinstance(module, PackedLinear):
            own[id(module)] = _linear(whole(module.weight, torch.float32), module.bias)
        elif isinstance(module, QuickLinear):
            own[id(module)] = _linear(module.weight, module.bias, memo)
        elif is_transposed(module):
            weight, bias = cast("Tensor", module.weight), cast("Tensor | None", module.bias)
            own[id(module)] = _linear(weight.t(), bias, memo)
    return copy.deepcopy(network, own).cpu()


def merged(layer: StackedLinear, member: int) -> Tensor:
    """The weight of an adapted layer, out x in, with one member's adapter in it.

    Example:
        >>> from fucina.models.adapter import AdapterSlot, Noise
        >>> slot = AdapterSlot(torch.ones(1, 1, 2), torch.tensor([[[1.0], [2.0]]]))
        >>> noise = Noise(torch.Generator())
        >>> layer = StackedLinear(torch.eye(2), None, slot, scale=0.5, dropout=0.0, noise=noise)
        >>> merged(layer, 0)
        tensor([[1.5000, 0.5000],
                [1.0000, 2.0000]])
    """
    slot = layer.slot
    with torch.no_grad():
        weight = whole(layer.weight, torch.float32).float()
        lengths = None if slot.m is None else slot.m[member].float()
        parts = slot.a[member].float(), slot.b[member].float()
        return merged_weight(weight, *parts, lengths, scale=layer.scale).cpu()


def _linear(weight: Tensor, bias: Tensor | None, memo: Memo | None = None) -> nn.Linear:
    """A plain layer around a weight, out x in; what a memo knows is shared."""
    shared = memo or {}
    made = nn.Linear(1, 1, bias=bias is not None)
    made.out_features, made.in_features = weight.shape
    made.weight = _parameter(shared.get(id(weight), weight))
    if bias is not None:
        made.bias = _parameter(shared.get(id(bias), bias))
    return made


def _parameter(value: object) -> nn.Parameter:
    if isinstance(value, nn.Parameter):
        return value
    return nn.Parameter(cast("Tensor", value).detach().float().cpu(), requires_grad=False)


def _head(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A head of classes: d x c and 1 x c."""
    return _linear(weight.detach().t().contiguous(), bias.detach()[0])


def _member(stack: Stack, member: int, memo: Memo) -> nn.Module:
    """The layers above the trunk of one member."""
    return _plain(stack.replicas[0].network, memo, member)


def _trunk(base: Base, depth: int, memo: Memo, kept: list[Tensor]) -> nn.Module:
    """The frozen layers that all members share; what comes out of them is put into `kept`."""
    network = _plain(base.network, memo, 0)
    layers = layers_of(network, base.layers)
    for index in range(depth, base.depth):
        layers[index] = Skip(layers[index], tuple_output=base.tuple_output)
    layers[depth - 1].register_forward_hook(keep_in(kept))
    return network
