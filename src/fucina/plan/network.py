"""What a plan must know of a base model, read from its modules; they may hold no numbers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from fucina.models.build import trained_whole, trunk_depth
from fucina.models.product import PackedLinear
from fucina.models.targets import is_linear, resolve, size

if TYPE_CHECKING:
    from fucina.config import AdapterConfig

__all__ = ["Network", "measure"]


@dataclass(frozen=True)
class Network:
    """The counts of a base under one adapter.

    Attributes:
        parameters: Of the whole base, embeddings too.
        depth: Transformer layers.
        trunk: Those that stay frozen below the lowest trained one.
        width: Size d of a hidden state.
        products: For each layer the numbers in its linear layers: multiply-adds for one token.
        outputs: For each layer what its linear layers put out for one token, in numbers.
        adapters: Numbers a token passes in the adapters of all adapted layers.
        trained: Parameters trained beside the head of labels, of one member.
        head: Numbers in the layer that writes tokens, vocabulary times d; 0 without one.
        trains_head: Whether that layer is trained.
        packed: Numbers that are kept in 4 bits; 0 without.
        largest: Numbers in the largest packed matrix: unpacked one at a time.
        stored: Bytes of a number in the file of the weights.
        remembered: Keys and values that a token leaves in one layer, in numbers.
    """

    parameters: int
    depth: int
    trunk: int
    width: int
    products: tuple[int, ...]
    outputs: tuple[int, ...]
    adapters: int
    trained: int
    head: int = 0
    trains_head: bool = False
    packed: int = 0
    largest: int = 0
    stored: int = 4
    remembered: int = 0


def measure(
    network: nn.Module,
    layers: str,
    width: int,
    config: "AdapterConfig",
    head: str = "",
    *,
    quantize: str = "none",
) -> Network:
    """Count parameters and products of a base.

    Args:
        network: The bare transformer, or with the layer that writes tokens; on the meta device it
            needs no memory.
        layers: Dotted name of its list of layers.
        width: d.
        config: Which layers are adapted, and how.
        head: Dotted name of the layer that writes tokens; empty without one.
        quantize: Whether the linear layers are kept in 4 bits, as `model.quantize` says.

    Raises:
        ModelError: `target_modules` match nothing.

    Example:
        >>> layer = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4))
        >>> tiny = nn.ModuleDict({"layers": nn.ModuleList([layer])})
        >>> from fucina.config import AdapterConfig
        >>> found = measure(tiny, "layers", 4, AdapterConfig(rank=2))
        >>> found.parameters, found.products, found.trained  # 2 * (4 + 8) + 2 * (8 + 4)
        (76, (64,), 48)
    """
    stack = list(network.get_submodule(layers).children())
    depth = len(stack)
    trunk = trunk_depth(config, depth)
    adapters, lengths = 0, 0
    if config.kind == "lora":
        for layer in stack[trunk:]:
            names = resolve(layer, config.target_modules)
            shapes = [size(layer.get_submodule(name)) for name in names]
            adapters += sum(config.rank * (into + out) for into, out in shapes)
            lengths += sum(out for _, out in shapes) if config.dora else 0
    trained, trains_head = adapters + lengths, False
    writes = cast("Tensor", network.get_submodule(head).weight) if head else None
    if config.kind == "full":
        whole = [parameter for _, parameter in trained_whole(network, layers, trunk)]
        trained = sum(parameter.numel() for parameter in whole)
        trains_head = any(parameter is writes for parameter in whole)  # also where it is tied
    sizes = [into * out for layer in stack for into, out in _shapes(layer)]
    packs = quantize != "none"
    held = sum(parameter.numel() for parameter in network.parameters())
    away = [size(module) for module in network.modules() if isinstance(module, PackedLinear)]
    return Network(
        parameters=held + sum(into * out for into, out in away),
        depth=depth,
        trunk=trunk,
        width=width,
        products=tuple(sum(i * o for i, o in _shapes(layer)) for layer in stack),
        outputs=tuple(sum(o for _, o in _shapes(layer)) for layer in stack),
        adapters=adapters,
        trained=trained,
        head=0 if writes is None else writes.numel(),
        trains_head=trains_head,
        packed=sum(sizes) if packs else 0,
        largest=max(sizes) if packs else 0,
        stored=next(network.parameters()).dtype.itemsize,
        remembered=_remembered(getattr(network, "config", None), width),
    )


def _remembered(config: Any, width: int) -> int:
    """As many heads remember as the configuration says; some models share them."""
    heads = getattr(config, "num_attention_heads", None)
    if heads is None:
        return 2 * width
    alone = 1 if getattr(config, "multi_query", False) else heads
    keys = getattr(config, "num_key_value_heads", None) or alone
    return 2 * keys * (getattr(config, "head_dim", None) or width // heads)


def _shapes(layer: nn.Module) -> list[tuple[int, int]]:
    return [size(module) for module in layer.modules() if is_linear(module)]
