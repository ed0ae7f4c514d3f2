"""AdamW over the members of a stack: each has its own rate, clipping and moments."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from fucina.models.packed import library

if TYPE_CHECKING:
    from fucina.config import TrainingConfig
    from fucina.models.stack import Stack

__all__ = ["Optimizer"]


class Optimizer:
    """Moves each member's flat parameters as if it were alone.

    AdamW works element by element, so members in one stack do not influence one another. The
    parameters are rows of `stack.adapters` and `stack.heads`; steps write through to the leaves.

    Args:
        stack: The members.
        config: Rates, decay and clipping.
        kind: `adamw_8bit` keeps moments in 8 bits, 256 to a scale (bitsandbytes); rows of fewer
            than 4,096 numbers keep theirs whole.

    Raises:
        MissingExtraError: 8 bits are asked for and bitsandbytes is not installed.
    """

    def __init__(
        self,
        stack: "Stack",
        config: "TrainingConfig",
        kind: Literal["adamw", "adamw_8bit"] = "adamw",
    ) -> None:
        self.stack = stack
        self.config = config
        self.kind = kind
        self.head_rate = config.head_learning_rate or config.learning_rate
        self._start(stack.members)

    def _start(self, members: int) -> None:
        groups = []
        self.parameters: list[tuple[Tensor | None, Tensor]] = []
        for member in range(members):
            adapter = self.stack.adapters[member].detach() if self.stack.names else None
            head = self.stack.heads[member].detach()
            self.parameters.append((adapter, head))
            # Rates are tensors' worth of floats set anew at every step.
            groups.append({"params": [head], "lr": self.head_rate})
            if adapter is not None:
                groups.append({"params": [adapter], "lr": self.config.learning_rate})
        decay = self.config.weight_decay
        self.adamw: torch.optim.Optimizer = (
            library().optim.AdamW8bit(groups, weight_decay=decay)
            if self.kind == "adamw_8bit"
            else torch.optim.AdamW(groups, weight_decay=decay, fused=True)
        )

    def step(
        self, adapters: Tensor, heads: Tensor, moves: np.ndarray, shares: list[float]
    ) -> np.ndarray:
        """Clip and apply gradients.

        Args:
            adapters: k x P gradients (k x 0 for a head alone).
            heads: k x H gradients.
            moves: k booleans; a member without rows in this step stands still.
            shares: Each member's share of the peak learning rates.

        Returns:
            The k gradient norms before clipping; a member whose norm is not finite stands still.
        """
        norms = torch.sqrt(adapters.square().sum(dim=1) + heads.square().sum(dim=1))
        finite = torch.isfinite(norms).tolist()
        scale = (self.config.max_gradient_norm / (norms + 1e-6)).clamp_max(1.0)
        for member, (adapter, head) in enumerate(self.parameters):
            alive = bool(moves[member]) and finite[member]
            head.grad = heads[member] * scale[member] if alive else None
            if adapter is not None:
                adapter.grad = adapters[member] * scale[member] if alive else None
            for group in self._groups(member):
                peak = self.head_rate if group["params"][0] is head else self.config.learning_rate
                group["lr"] = peak * shares[member]
        self.adamw.step()
        return norms.double().cpu().numpy()

    def _groups(self, member: int) -> list[dict]:
        each = 2 if self.stack.names else 1
        return self.adamw.param_groups[member * each : (member + 1) * each]

    def moments(self) -> list[dict[str, Tensor]]:
        """The state of AdamW, one dictionary a parameter, heads before adapters."""
        return [
            {key: torch.as_tensor(v) for key, v in self.adamw.state.get(parameter, {}).items()}
            for group in self.adamw.param_groups
            for parameter in group["params"]
        ]

    def restore(self, moments: list[dict[str, Tensor]]) -> None:
        """Take over the state that `moments` gave."""
        parameters = [p for group in self.adamw.param_groups for p in group["params"]]
        for parameter, state in zip(parameters, moments, strict=True):
            if state:
                own: dict[str, Any] = {
                    key: value.to(parameter.device, copy=True) for key, value in state.items()
                }
                if self.kind == "adamw_8bit":  # it counts steps in a plain number
                    own["step"] = int(own["step"])
                self.adamw.state[parameter] = own

    def keep(self, members: list[int]) -> None:
        """Let the other members leave the stack."""
        each = 2 if self.stack.names else 1
        moments = self.moments()
        kept = [moments[member * each + i] for member in members for i in range(each)]
        self.stack.bind(self.stack.adapters[members].clone(), self.stack.heads[members].clone())
        self._start(len(members))
        self.restore(kept)
