"""Layers that keep their input alone for the way back, and compute the rest once more.

Source: Chen et al., 2016, https://arxiv.org/abs/1604.06174. Done by PyTorch; here is what it
cannot know: where our dropout takes its random numbers from, and that attention adds keys and
values to a cache, which the second pass must find as the first one did.
"""

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache

from fucina.models.adapter import Noise

__all__ = ["Checkpointed"]


class Checkpointed(nn.Module):
    """A layer that is computed again on the way back.

    Args:
        layer: One transformer layer.
        number: Its place, by which it finds its part of a cache.
        noise: Random numbers of its dropout.
    """

    def __init__(self, layer: nn.Module, number: int, noise: Noise) -> None:
        super().__init__()
        self.layer, self.number, self.noise = layer, number, noise

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer gives for the same arguments."""
        if not torch.is_grad_enabled():
            return self.layer(*args, **kwargs)
        active = self.noise.active
        drawn = self.noise.generator.get_state() if active else None
        found = [value for value in (*args, *kwargs.values()) if isinstance(value, DynamicCache)]
        before = self._remembered(found[0]) if found else None
        passes = iter(("there", "back"))

        def run() -> Any:
            if next(passes, "back") == "there":
                return self.layer(*args, **kwargs)
            self.noise.active = active
            if drawn is not None:
                self.noise.generator.set_state(drawn)
            past = self._cache(before)
            own = [past if isinstance(value, DynamicCache) else value for value in args]
            named = {k: past if isinstance(v, DynamicCache) else v for k, v in kwargs.items()}
            return self.layer(*own, **named)

        return checkpoint(run, use_reentrant=False, preserve_rng_state=False)

    def _remembered(self, cache: DynamicCache) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Keys and values of this layer so far; they are never written over, only replaced."""
        layers: list[Any] = cache.layers
        if len(layers) <= self.number or not layers[self.number].is_initialized:
            return None
        return layers[self.number].keys, layers[self.number].values

    def _cache(self, before: tuple[torch.Tensor, torch.Tensor] | None) -> DynamicCache:
        cache = DynamicCache()
        if before is not None:
            cache.update(*before, self.number)
        return cache
