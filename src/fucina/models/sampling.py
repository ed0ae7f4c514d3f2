"""Which token is written: the most probable one, or one drawn by its odds."""

from typing import TYPE_CHECKING

import torch

from fucina.models.constrain import likeliest

if TYPE_CHECKING:
    from torch import Tensor

    from fucina.models.constrain import Choose

__all__ = ["sampler", "tempered"]


def sampler(temperature: float, top_p: float, seed: int | None) -> "Choose":
    """What picks tokens by their odds.

    Args:
        temperature: 0 for the most probable token.
        top_p: Of the odds that tokens are drawn from; see `tempered`.
        seed: Equal ones draw alike; None draws anew each time.

    Example:
        >>> odds = torch.tensor([[0.1, 0.2, 0.7]])
        >>> sampler(0, 1, None)(odds).tolist(), sampler(1, 0.6, 3)(odds).tolist()
        ([2], [2])
        >>> one, two = sampler(1, 1, 5), sampler(1, 1, 5)
        >>> [one(odds).item() for _ in range(9)] == [two(odds).item() for _ in range(9)]
        True
    """
    if temperature == 0:
        return likeliest
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)

    def draw(odds: "Tensor") -> "Tensor":
        weights = tempered(odds.cpu(), temperature, top_p)
        drawn = torch.multinomial(weights, 1, generator=generator)[:, 0]
        return drawn.to(odds.device)

    return draw


def tempered(odds: "Tensor", temperature: float, top_p: float) -> "Tensor":
    """Odds raised to 1 / temperature, of the most probable tokens that hold a share of them.

    Of nucleus sampling (Holtzman et al., 2019, https://arxiv.org/abs/1904.09751): the token that
    reaches the share is kept too, so that there is always one.

    Args:
        odds: b x vocabulary, 0 or more; below 0 where a token may not be written.
        temperature: Over 0.
        top_p: The share, over 0 and up to 1.

    Example:
        >>> odds = torch.tensor([[0.5, 0.3, 0.2, -1.0]], dtype=torch.float64)
        >>> tempered(odds, 1.0, 0.6).round(decimals=3).tolist()
        [[0.625, 0.375, 0.0, 0.0]]
        >>> tempered(odds, 0.5, 1.0)[0].round(decimals=3).tolist()
        [0.658, 0.237, 0.105, 0.0]
    """
    # Logarithms, as odds to a high power would all be 0.
    logs = odds.clamp(min=0).log() / temperature
    weights = torch.softmax(logs, dim=-1)
    if top_p < 1:
        ordered, places = weights.sort(dim=-1, descending=True)
        before = ordered.cumsum(dim=-1) - ordered
        ordered = torch.where(before < top_p, ordered, torch.zeros_like(ordered))
        weights = torch.zeros_like(weights).scatter(-1, places, ordered)
    return weights / weights.sum(dim=-1, keepdim=True)
