"""Which linear layers an adapter is put on, resolved from the model itself."""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from fucina.errors import ModelError, nearest
from fucina.models.product import PackedLinear, QuickLinear

__all__ = ["is_linear", "is_transposed", "resolve", "resolve_halves", "size", "was_transposed"]


def is_linear(module: nn.Module) -> bool:
    """Whether a low-rank adapter can be put on this module.

    GPT-2 style models write their linear layers as `Conv1D`, with a transposed weight.
    """
    return isinstance(module, nn.Linear | QuickLinear | PackedLinear) or is_transposed(module)


def is_transposed(module: nn.Module) -> bool:
    """Whether the weight is stored in x out instead of out x in."""
    return type(module).__name__ == "Conv1D"


def was_transposed(module: nn.Module) -> bool:
    """The same of the layer as it is on disk, also where it is packed now."""
    return module.transposed if isinstance(module, PackedLinear) else is_transposed(module)


def size(module: nn.Module) -> tuple[int, int]:
    """How wide a linear layer is going in and coming out.

    Example:
        >>> size(nn.Linear(2, 3))
        (2, 3)
    """
    if isinstance(module, PackedLinear):
        return module.in_features, module.out_features
    first, second = cast("Tensor", module.weight).shape
    return (first, second) if is_transposed(module) else (second, first)


def resolve(layer: nn.Module, target_modules: str | Sequence[str]) -> list[str]:
    """List the linear modules of one transformer layer that the setting names.

    Args:
        layer: One transformer layer.
        target_modules: `all-linear`, `attention` (those inside a module whose name speaks of
            attention), one name, or several. A name matches a whole dotted path or its end.

    Returns:
        Dotted names inside `layer`, in module order; never empty.

    Raises:
        ModelError: A name matches nothing; the message lists the names that exist.

    Example:
        >>> layer = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        >>> resolve(layer, "all-linear"), resolve(layer, ["1"])
        (['0', '1'], ['1'])
    """
    linear = [name for name, module in layer.named_modules() if is_linear(module)]
    if target_modules == "all-linear":
        return _some(linear, "all-linear", linear)
    if target_modules == "attention":
        inside = [name for name in linear if "att" in name.lower()]
        return _some(inside, "attention", linear)
    wanted = [target_modules] if isinstance(target_modules, str) else list(target_modules)
    if not wanted:
        raise ModelError(
            "adapter.target_modules is empty.",
            fix="Use all-linear, or adapter.kind=head to train no layer.",
        )
    found: set[str] = set()
    for name in wanted:
        found |= set(_some([path for path in linear if _ends(path, name)], name, linear))
    return [name for name in linear if name in found]


def resolve_halves(
    encoder: nn.Module, decoder: nn.Module, target_modules: str | Sequence[str]
) -> tuple[list[str], list[str]]:
    """The same for a layer of an encoder and one of a decoder; a name may be in one of them only.

    Example:
        >>> one, two = nn.Sequential(nn.Linear(2, 2)), nn.ModuleDict({"o": nn.Linear(2, 2)})
        >>> resolve_halves(one, two, "o")
        ([], ['o'])
    """
    both = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
    found = [name.split(".", 1) for name in resolve(both, target_modules)]
    read = [name for half, name in found if half == "encoder"]
    return read, [name for half, name in found if half == "decoder"]


def _ends(path: str, name: str) -> bool:
    return path == name or path.endswith("." + name)


def _some(matches: list[str], wanted: str, linear: list[str]) -> list[str]:
    if matches:
        return matches
    last = sorted({path.rsplit(".", 1)[-1] for path in linear})
    raise ModelError(
        f"adapter.target_modules: {wanted!r} matches no linear layer; this model has "
        f"{', '.join(linear)}.",
        fix=f"Use all-linear, or names of this model; {nearest(wanted, last)}",
    )
