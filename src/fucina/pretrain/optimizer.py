"""Muon for the matrices of layers, AdamW for words and norms, both at one learning rate."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fucina.errors import ResourceError

if TYPE_CHECKING:
    from fucina.pretrain.settings import ScheduleConfig

__all__ = ["Optimizers"]


class Optimizers:
    """Moves the weights of one network.

    Muon (Jordan et al. 2024) makes each step of a matrix orthogonal; scaled as Liu et al. (2025)
    do it, a step is as large as one of AdamW, so that both share one rate.

    Args:
        network: A causal language model.
        config: Which, and how fast.

    Raises:
        ResourceError: Muon is asked for and this PyTorch does not have it.
    """

    def __init__(self, network: Any, config: "ScheduleConfig") -> None:
        self.config = config
        named = [(name, weight) for name, weight in network.named_parameters()]
        matrices = [w for name, w in named if w.ndim == 2 and "embed" not in name]
        words = [w for name, w in named if w.ndim == 2 and "embed" in name]
        norms = [weight for _, weight in named if weight.ndim < 2]
        peak, decay = config.learning_rate, config.weight_decay
        groups = [{"params": words, "weight_decay": 0.0}, {"params": norms, "weight_decay": 0.0}]
        if config.optimizer == "adamw":
            groups.append({"params": matrices, "weight_decay": decay})
        self.all: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.95), fused=True)
        ]
        if config.optimizer == "muon":
            if not hasattr(torch.optim, "Muon"):
                raise ResourceError(
                    f"PyTorch {torch.__version__} has no Muon.",
                    fix="Install torch 2.9 or newer, or set training.optimizer: adamw.",
                )
            self.all.append(
                torch.optim.Muon(
                    matrices, lr=peak, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
                )
            )

    def step(self, weights: Sequence[Tensor], gradients: list[Tensor], share: float) -> float:
        """Clip and apply gradients.

        Args:
            weights: The parameters of the network, in its order.
            gradients: Theirs.
            share: Of the peak rate.

        Returns:
            The norm of all gradients before clipping; where it is no number, nothing moves.
        """
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if not torch.isfinite(norm):
            return float(norm)
        torch._foreach_mul_(gradients, (self.config.max_gradient_norm / (norm + 1e-6)).clamp_max(1))
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["lr"] = self.config.learning_rate * share
            optimizer.step()
            optimizer.zero_grad()
        return float(norm)

    def state(self, network: Any, step: int) -> dict[str, Tensor]:
        """All that is needed to go on behind a step, by name."""
        found = {f"weight.{name}": w.detach() for name, w in network.named_parameters()}
        names = {weight: name for name, weight in network.named_parameters()}
        for number, optimizer in enumerate(self.all):
            for weight, moments in optimizer.state.items():
                for key, value in moments.items():
                    found[f"moment.{number}.{key}.{names[weight]}"] = torch.as_tensor(value)
        return {**found, "step": torch.tensor(step)}

    @torch.no_grad()
    def restore(self, network: Any, state: Mapping[str, Tensor]) -> int:
        """Put everything back where `state` found it; returns the steps done."""
        weights = dict(network.named_parameters())
        for name, weight in weights.items():
            weight.copy_(state[f"weight.{name}"])
        for name, value in state.items():
            kind, _, rest = name.partition(".")
            if kind == "moment":
                number, key, of = rest.split(".", 2)
                optimizer = self.all[int(number)]
                weight = weights[of]
                # AdamW wants its count of steps where it keeps it, on the processor.
                moved = value if key == "step" else value.to(weight.device)
                optimizer.state[weight][key] = moved.clone()
        return int(state["step"])
