"""What a plan must know of a base model, read from its modules; they may hold no numbers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from fucina.models.build import adapted_layers, trained_whole, trunk_depth
from fucina.models.product import PackedLinear
from fucina.models.targets import is_linear, size

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
        encoder: Of an encoder-decoder, whose decoder the other fields are of; None for others.
        crossed: For each layer of its decoder the numbers in the products of what is read, which
            `products` leaves out.
        crossed_adapters: Those of the adapters of these products, which `adapters` leaves out.
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
    encoder: "Network | None" = None
    crossed: tuple[int, ...] = ()
    crossed_adapters: int = 0
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
    encoder: str = "",
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
        encoder: Dotted name of the list of layers of an encoder; empty without one.
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
    adapters = {"own": 0, "crossed": 0, "encoder": 0}
    lengths = 0
    if config.kind == "lora":
        for path, layer, names in adapted_layers(network, layers, config, encoder):
            for name in names:
                into, out = size(layer.get_submodule(name))
                crossed = "crossed" if encoder and _crosses(name) else "own"
                side = crossed if path.startswith(f"{layers}.") else "encoder"
                adapters[side] += config.rank * (into + out)
                lengths += out if config.dora else 0
    trained, trains_head = sum(adapters.values()) + lengths, False
    writes = cast("Tensor", network.get_submodule(head).weight) if head else None
    if config.kind == "full":
        whole = [parameter for _, parameter in trained_whole(network, layers, config, encoder)]
        trained = sum(parameter.numel() for parameter in whole)
        trains_head = any(parameter is writes for parameter in whole)  # also where it is tied
    read = list(network.get_submodule(encoder).children()) if encoder else []
    sizes = [into * out for layer in (*stack, *read) for into, out in _shapes(layer)]
    packs = quantize != "none"
    held = sum(parameter.numel() for parameter in network.parameters())
    away = [size(module) for module in network.modules() if isinstance(module, PackedLinear)]
    return Network(
        parameters=held + sum(into * out for into, out in away),
        depth=depth,
        trunk=trunk,
        width=width,
        products=tuple(sum(i * o for i, o in _shapes(layer, bool(encoder))) for layer in stack),
        outputs=tuple(sum(o for _, o in _shapes(layer, bool(encoder))) for layer in stack),
        adapters=adapters["own"],
        trained=trained,
        head=0 if writes is None else writes.numel(),
        trains_head=trains_head,
        encoder=_encoder(network, encoder, width, config, adapters["encoder"]) if encoder else None,
        crossed=tuple(sum(i * o for i, o in _crossed(layer)) for layer in stack) if encoder else (),
        crossed_adapters=adapters["crossed"],
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


def _encoder(
    network: nn.Module, layers: str, width: int, config: "AdapterConfig", adapters: int
) -> Network:
    """An encoder: all of its layers are trained, or none."""
    stack = list(network.get_submodule(layers).children())
    trained = config.layers == "all" and config.kind != "head"
    return Network(
        parameters=0,
        depth=len(stack),
        trunk=0 if trained else len(stack),
        width=width,
        products=tuple(sum(i * o for i, o in _shapes(layer)) for layer in stack),
        outputs=tuple(sum(o for _, o in _shapes(layer)) for layer in stack),
        adapters=adapters,
        trained=0,
    )


def _crosses(name: str) -> bool:
    """Whether a product of a decoder's layer is of what was read: keys and values of attention."""
    *before, last = name.lower().split(".")
    return last in {"k", "v", "k_proj", "v_proj"} and any("enc" in part for part in before)


def _shapes(layer: nn.Module, decodes: bool = False) -> list[tuple[int, int]]:
    return [
        size(module)
        for name, module in layer.named_modules()
        if is_linear(module) and not (decodes and _crosses(name))
    ]


def _crossed(layer: nn.Module) -> list[tuple[int, int]]:
    found = layer.named_modules()
    return [size(module) for name, module in found if is_linear(module) and _crosses(name)]
