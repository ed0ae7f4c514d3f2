"""Put adapters and heads on a base: which layers are frozen, adapted, or trained whole."""

import copy
import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from fucina.errors import TrainingError
from fucina.models.adapter import AdapterSlot, Noise, StackedLinear, initial_a, lengths
from fucina.models.base import Base, layers_of
from fucina.models.checkpointing import Checkpointed
from fucina.models.packed import Matrix, Packed
from fucina.models.reader import Reader
from fucina.models.stack import Replica, Stack
from fucina.models.targets import is_transposed, resolve, resolve_halves, size
from fucina.models.trunk import Inject, Skip, Trunk, replica

if TYPE_CHECKING:
    from fucina.config import AdapterConfig

__all__ = ["adapted_layers", "build", "trained_whole", "trunk_depth"]


def trunk_depth(config: "AdapterConfig", layers: int) -> int:
    """Count which of a base's layers stay frozen below the lowest trained one.

    Example:
        >>> from fucina.config import AdapterConfig
        >>> trunk_depth(AdapterConfig(layers=2), 6)
        4
    """
    if config.kind == "head":
        return layers
    if config.layers == "all":
        return 0
    return max(0, layers - config.layers)


def adapted_layers(
    network: nn.Module, layers: str, config: "AdapterConfig", encoder: str = ""
) -> list[tuple[str, nn.Module, list[str]]]:
    """The layers that get adapters: dotted name, layer, and names of its linear modules.

    Args:
        network: The bare transformer, or with its head.
        layers: Dotted name of its list of layers; of an encoder-decoder, of its decoder.
        config: Which layers, and which modules of them.
        encoder: Dotted name of the list of layers of an encoder, which is adapted where all are.

    Raises:
        ModelError: `target_modules` match nothing.
    """
    stack = [*layers_of(network, layers)]
    above = range(trunk_depth(config, len(stack)), len(stack))
    own = [(f"{layers}.{index}", stack[index]) for index in above]
    if not encoder or config.layers != "all":
        return [(path, layer, resolve(layer, config.target_modules)) for path, layer in own]
    read = [(f"{encoder}.{i}", layer) for i, layer in enumerate(layers_of(network, encoder))]
    names = resolve_halves(read[0][1], own[0][1], config.target_modules)
    found = [(path, layer, names[0]) for path, layer in read]
    return found + [(path, layer, names[1]) for path, layer in own]


def build(
    base: Base,
    config: "AdapterConfig",
    *,
    members: int,
    labels: int,
    seed: int,
    workers: int,
    whole: bool = False,
    checkpointing: bool = False,
) -> Stack:
    """Put k fresh adapters and zero heads on a base.

    Args:
        base: The frozen model; it is not changed.
        config: What is trained.
        members: k, 1 or more; 1 when all weights are trained.
        labels: c.
        seed: Draws the adapters; member f of a stack of any size starts the same.
        workers: How many threads will compute at once.
        whole: Run the frozen layers with the others, as for writing token by token.
        checkpointing: Compute the trained layers once more on the way back.

    Raises:
        ModelError: `target_modules` match nothing.
        TrainingError: More than one member with kind `full`.
    """
    depth = trunk_depth(config, base.depth)
    scale = config.alpha / (math.sqrt(config.rank) if config.rslora else config.rank)
    stack = Stack(base, depth, labels, scale)
    network = replica(base.network)
    layers = layers_of(network, base.layers)
    kept = 0 if whole else _set_apart(stack, layers, config, workers)
    noise = Noise(torch.Generator(_device(base)))
    if config.kind == "full":
        if members != 1:
            raise TrainingError(
                f"{members} members cannot train all weights in one stack.",
                fix="Train them one after the other, or use adapter.kind: lora.",
            )
        adapters = _unfreeze(stack, network, config)
    elif config.kind == "lora":
        adapters = _adapt(stack, network, config, noise, members, seed)
    else:
        adapters = torch.zeros(members, 0, device=_device(base))
    if checkpointing:
        _check(layers, depth, noise)
        if base.encoder and config.layers == "all":
            _check(layers_of(network, base.encoder), 0, noise)
    for _ in range(workers):
        own = _copy(network, stack, noise)
        inject = cast("Inject", layers_of(own.network, base.layers)[kept - 1]) if kept else None
        stack.give_back(len(stack.replicas))
        stack.replicas.append(Replica(own.network, inject, own.noise))
    heads = torch.zeros(members, (base.width + 1) * labels, device=_device(base))
    stack.bind(adapters, heads)
    return stack


def _check(layers: nn.ModuleList, depth: int, noise: Noise) -> None:
    """Let the layers above the frozen ones be computed twice."""
    for index in range(depth, len(layers)):
        layers[index] = Checkpointed(layers[index], index, noise)


def _set_apart(stack: Stack, layers: nn.ModuleList, config: "AdapterConfig", workers: int) -> int:
    """Take the frozen layers out of a network that trains; returns how many have stand-ins."""
    base, depth = stack.base, stack.depth
    if base.halves is not None:
        if config.layers == "all" and config.kind != "head":
            return 0
        stack.reader = Reader(base, depth, workers)
        stack.reader.leave_out(layers)
        return stack.reader.depth
    if base.whole:
        return 0
    if depth:
        stack.trunk = Trunk(base, depth, workers)
        for index in range(depth):
            layers[index] = Skip(layers[index], tuple_output=base.tuple_output)
        layers[depth - 1] = Inject(layers[depth - 1], tuple_output=base.tuple_output)
    return depth


def trained_whole(
    network: nn.Module, layers: str, config: "AdapterConfig", encoder: str = ""
) -> list[tuple[str, nn.Parameter]]:
    """The weights that kind `full` trains: all above the trunk, by name.

    With `layers: all` the embeddings are trained too, and so is an encoder; else it stays frozen,
    and with it the embeddings that it shares with its decoder. Positions that are computed, not
    learnt, never are.

    Args:
        network: The bare transformer, or with its head.
        layers: Dotted name of its list of layers; of an encoder-decoder, of its decoder.
        config: How many of them.
        encoder: Dotted name of the list of layers of an encoder; empty where there is none.

    Example:
        >>> tiny = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])})
        >>> from fucina.config import AdapterConfig
        >>> [name for name, _ in trained_whole(tiny, "layers", AdapterConfig(layers=1))]
        ['layers.1.weight', 'layers.1.bias']
    """
    prefix, body = f"{layers}.", layers.rpartition(".")[0]
    depth = trunk_depth(config, len(layers_of(network, layers)))
    whole = not depth and (not encoder or config.layers == "all")
    computed = [
        name for name, part in network.named_modules() if "Sinusoidal" in type(part).__name__
    ]
    found = []
    for name, parameter in network.named_parameters():
        if name.rpartition(".")[0] in computed:
            continue
        inside = name.startswith(prefix)
        index = int(name[len(prefix) :].split(".", 1)[0]) if inside else -1
        # A norm after the layers is trained too; the pooler is not used, embeddings lie below.
        above = not inside and ("norm" in name.lower() and "embed" not in name.lower())
        above = above and (not encoder or name.startswith(f"{body}."))
        if "pooler" not in name and (whole or above or (inside and index >= depth)):
            found.append((name, parameter))
    return found


def _device(base: Base) -> torch.device:
    return next(base.network.parameters()).device


def _adapt(
    stack: Stack,
    network: nn.Module,
    config: "AdapterConfig",
    noise: Noise,
    members: int,
    seed: int,
) -> Tensor:
    """Replace the target layers by adapted ones; returns the k x P start values."""
    rows: list[list[Tensor]] = [[] for _ in range(members)]
    generators = [torch.Generator().manual_seed(seed + 1009 * member) for member in range(members)]
    empty = torch.zeros(0)
    base = stack.base
    for place, layer, names in adapted_layers(network, base.layers, config, base.encoder):
        for name in names:
            linear = layer.get_submodule(name)
            path = f"{place}.{name}"
            width, out = size(linear)
            weight, bias = _frozen(linear)
            slot = AdapterSlot(empty, empty, empty if config.dora else None)
            stack.slots[path] = slot
            stack.names.append((f"{path}.a", torch.Size((config.rank, width))))
            stack.names.append((f"{path}.b", torch.Size((out, config.rank))))
            own = [torch.zeros(out * config.rank)]
            if config.dora:
                stack.names.append((f"{path}.m", torch.Size((out,))))
                own.append(lengths(weight).cpu())
            adapted = StackedLinear(
                weight,
                bias,
                slot,
                scale=stack.rank_scale,
                dropout=config.dropout,
                noise=noise,
            )
            layer.set_submodule(name, adapted)
            for row, generator in zip(rows, generators, strict=True):
                row += [initial_a(width, config.rank, generator).flatten(), *own]
    return torch.stack([torch.cat(row) for row in rows]).to(_device(stack.base))


def _frozen(layer: nn.Module) -> tuple[Matrix, Tensor | None]:
    """Weight, out x in, and bias of a linear layer, without gradients."""
    weight, bias = layer.weight, cast("Tensor | None", layer.bias)
    if not isinstance(weight, Packed):
        weight = cast("Tensor", weight).detach()
        weight = weight.t() if is_transposed(layer) else weight
    return weight, None if bias is None else bias.detach()


def _unfreeze(stack: Stack, network: nn.Module, config: "AdapterConfig") -> Tensor:
    """Make own copies of the weights to train; returns them as 1 x P."""
    row: list[Tensor] = []
    places: dict[int, list[str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        places.setdefault(id(parameter), []).append(name)
    base = stack.base
    for name, parameter in trained_whole(network, base.layers, config, base.encoder):
        own = nn.Parameter(parameter.detach().clone())
        for place in places[id(parameter)]:  # embeddings are often the head that writes, too
            path, last = place.rsplit(".", 1) if "." in place else ("", place)
            setattr(network.get_submodule(path), last, own)
        stack.full[name] = own
        stack.names.append((name, own.shape))
        row.append(own.detach().flatten())
    return torch.cat(row)[None].clone()


def _copy(network: nn.Module, stack: Stack, noise: Noise) -> Replica:
    """Copy the structure for one thread: tensors and slots shared, dropout its own."""
    shared: dict[int, object] = {id(t): t for t in [*network.parameters(), *network.buffers()]}
    shared |= {id(slot): slot for slot in stack.slots.values()}
    for module in network.modules():
        if isinstance(module, StackedLinear):
            kept = (module.weight, module.bias, module.squares)
            shared |= {id(t): t for t in kept if isinstance(t, Tensor)}
    own_noise = Noise(torch.Generator(noise.generator.device))
    shared[id(noise)] = own_noise
    return Replica(copy.deepcopy(network, shared), None, own_noise)
