"""A beginning that all rows share runs once: its keys and values serve every row.

Attention lets no token look ahead, so what a layer computes for the beginning is the same in
every row. Rows then hold only what differs; positions go on counting behind the beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

__all__ = [
    "Branches",
    "Prefix",
    "agrees",
    "attend",
    "begin",
    "run_after",
    "see_all",
    "window_of",
]


AGREES = 1e-4  # of the length of the states; sums in another order differ by a hundredth of it
AGREES_COARSELY = 3e-2  # in bfloat16


@dataclass(frozen=True)
class Prefix:
    """What layers remember of a shared beginning of P tokens.

    Attributes:
        layers: Number of a layer to its keys and values, k x heads x P x width each.
        length: P.
    """

    layers: dict[int, tuple[Tensor, Tensor]]
    length: int

    @property
    def tensors(self) -> list[Tensor]:
        """All keys and values, in the order of the layers."""
        return [tensor for pair in self.layers.values() for tensor in pair]

    def replaced(self, tensors: Sequence[Tensor]) -> "Prefix":
        """The same with other tensors, in the order of `tensors`."""
        pairs = zip(tensors[::2], tensors[1::2], strict=True)
        return Prefix(dict(zip(self.layers, pairs, strict=True)), self.length)

    def cache(self, rows: int) -> DynamicCache:
        """A cache for k * rows rows, each member's beginning before each of its rows."""
        cache = DynamicCache()  # plain layers: windows are in the masks
        for layer, (keys, values) in self.layers.items():
            cache.update(_repeated(keys, rows), _repeated(values, rows), layer)
        return cache


@dataclass(frozen=True)
class Branches:
    """Rows of L tokens whose ends branch, so that tokens do not all follow one another.

    Attributes:
        positions: b x L, how far each token is behind the first of its row.
        seen: b x L x L, whether a token follows another on its own branch.
    """

    positions: Tensor
    seen: Tensor

    def to(self, device: torch.device) -> "Branches":
        """The same where the network computes."""
        return Branches(self.positions.to(device), self.seen.to(device))


def _repeated(tensor: Tensor, rows: int) -> Tensor:
    """Each of k matrices `rows` times, as a view where k is 1."""
    k, *rest = tensor.shape
    return tensor[:, None].expand(k, rows, *rest).reshape(k * rows, *rest)


def attend(
    mask: Tensor, past: int, window: int | None = None, branches: Branches | None = None
) -> Tensor:
    """Who may look at whom, b x 1 x L x (past + L) booleans.

    Args:
        mask: b x L, 1 where there is a token.
        past: Tokens before the first of these; all of them may be seen.
        window: A token sees only so many tokens, itself included; None for all.
        branches: Where tokens do not all follow one another.

    Example:
        >>> attend(torch.tensor([[1, 1]]), 1).int().tolist()
        [[[[1, 1, 0], [1, 1, 1]]]]
    """
    column = torch.arange(-past, mask.shape[1], device=mask.device)
    own = column[past:]
    at, seen = own[None], (column <= own[:, None])[None]
    if branches is not None:
        at = branches.positions
        before = seen[:, :, :past].expand(len(mask), -1, -1)
        seen = torch.cat([before, branches.seen], dim=2)
    if window is not None:
        there = torch.cat([column[:past].expand(len(at), -1), at], dim=1)
        seen = seen & (at[:, :, None] - there[:, None] < window)
    real = torch.cat([mask.new_ones(mask.shape[0], past), mask], dim=1).bool()
    # What fills up sees itself, or attention would divide by nothing.
    return (seen[:, None] & real[:, None, None, :]) | (own[:, None] == column)


def begin(body: nn.Module, ids: Tensor) -> Prefix:
    """Run a shared beginning, k x P tokens, and keep what its layers remember."""
    cache: Any = DynamicCache()
    body(
        input_ids=ids,
        attention_mask=masks(body, torch.ones_like(ids), 0),
        position_ids=torch.arange(ids.shape[1], device=ids.device).expand(len(ids), -1),
        past_key_values=cache,
        use_cache=True,
    )
    kept = {
        number: (layer.keys, layer.values)
        for number, layer in enumerate(cache.layers)
        if layer.is_initialized
    }
    return Prefix(kept, ids.shape[1])


def run_after(
    body: nn.Module,
    ids: Tensor,
    mask: Tensor,
    prefix: Prefix | None,
    cache: Any | None = None,
    *,
    branches: Branches | None = None,
) -> Tensor:
    """Run a decoder over rows, behind a shared beginning where there is one.

    Args:
        body: The bare transformer.
        ids: b x L tokens.
        mask: b x L, 1 where there is a token.
        prefix: The beginning; None for none.
        cache: Where keys and values are added; None to use that of the beginning.
        branches: Where tokens do not all follow one another.

    Returns:
        Hidden states, b x L x d.
    """
    if prefix is None and cache is None and branches is None:
        return body(input_ids=ids, attention_mask=mask).last_hidden_state
    past = prefix.length if prefix else 0
    if cache is None and prefix is not None:
        members = prefix.tensors[0].shape[0]
        cache = prefix.cache(ids.shape[0] // members)
    straight = torch.arange(ids.shape[1], device=ids.device)[None]
    positions = past + (straight if branches is None else branches.positions)
    return body(
        input_ids=ids,
        attention_mask=masks(body, mask, past, branches),
        position_ids=positions.expand(len(ids), -1),
        past_key_values=cache,
        use_cache=cache is not None,
    ).last_hidden_state


def agrees(body: nn.Module, ids: Tensor, length: int) -> bool:
    """Whether a row gives the same states whole, and behind a beginning that was run before.

    It does where attention looks back only and positions are given; a network that does anything
    else with them is found out here.

    Args:
        body: The bare transformer.
        ids: L tokens of a row.
        length: P, how many of them are its beginning.
    """
    row = ids[None]
    with torch.no_grad():
        whole = body(input_ids=row, attention_mask=torch.ones_like(row)).last_hidden_state
        rest = row[:, length:]
        try:
            behind = run_after(body, rest, torch.ones_like(rest), begin(body, row[:, :length]))
        except (RuntimeError, TypeError, ValueError, KeyError, AttributeError):
            return False  # a network that takes no positions, or no masks of this shape
    off = (whole[:, length:] - behind).float().norm() / whole[:, length:].float().norm()
    return bool(off < (AGREES if whole.dtype == torch.float32 else AGREES_COARSELY))


def window_of(body: nn.Module) -> tuple[int | None, bool]:
    """How far tokens of a network look back (None: all the way), and whether layers differ."""
    config: Any = body.config
    window = getattr(config, "sliding_window", None)
    if getattr(config, "use_sliding_window", True) is False:
        window = None
    return window, "sliding_attention" in (getattr(config, "layer_types", None) or ())


def masks(
    body: nn.Module, mask: Tensor, past: int, branches: Branches | None = None
) -> Tensor | dict[str, Tensor]:
    """The mask of a network, or one for each kind of layer where it has several."""
    window, several = window_of(body)
    if window is None:
        return attend(mask, past, None, branches)
    near = attend(mask, past, window, branches)
    if not several:
        return near
    return {"full_attention": attend(mask, past, None, branches), "sliding_attention": near}


def see_all(body: nn.Module, mask: Tensor) -> Tensor | dict[str, Tensor]:
    """The mask with which a decoder sees before and behind, or one for each kind of layer.

    Windows stay as wide as they are, to both sides.

    Args:
        body: The bare transformer.
        mask: b x L, 1 where there is a token.
    """
    here = torch.arange(mask.shape[1], device=mask.device)
    far = (here[:, None] - here[None]).abs()
    full = mask.bool()[:, None, None, :] | (far == 0)  # what fills up sees itself
    window, several = window_of(body)
    if window is None:
        return full
    near = full & (far < window)
    return {"full_attention": full, "sliding_attention": near} if several else near
