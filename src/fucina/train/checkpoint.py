"""All that a run needs to go on exactly as if it had not been interrupted."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fucina.models.stack import Stack
    from fucina.train.members import Member
    from fucina.train.optimizer import Optimizer

__all__ = ["State", "pack", "unpack"]


@dataclass(frozen=True)
class State:
    """A run between two epochs.

    Attributes:
        epoch: The last epoch that was finished.
        tensors: Parameters, moments, best and buffered states, by name.
        facts: Counters and names, as JSON can hold them.
    """

    epoch: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def pack(epoch: int, stack: "Stack", optimizer: "Optimizer", members: "Sequence[Member]") -> State:
    """Collect the state after an epoch. Tensors are copies."""
    tensors = {"adapters": stack.adapters.clone(), "heads": stack.heads.clone()}
    for i, moments in enumerate(optimizer.moments()):
        tensors |= {f"moments.{i}.{key}": value.clone() for key, value in moments.items()}
    facts: dict[str, Any] = {"moments": len(optimizer.moments()), "members": []}
    for member in members:
        name = f"member.{member.index}"
        tensors[f"{name}.best"] = cast("Tensor", member.best.state)
        tensors[f"{name}.state"] = member.state
        tensors[f"{name}.held_out"] = torch.from_numpy(member.held_out)
        for buffered, state in member.stopping.states:
            tensors[f"{name}.buffer.{buffered}"] = state
        facts["members"].append(
            {
                "steps": member.steps,
                "bad_steps": member.bad_steps,
                "kept_epoch": member.kept_epoch,
                "reason": member.reason,
                "best": [member.best.epoch, member.best.score, member.best.loss],
                "stopping": [
                    member.stopping.best_loss,
                    member.stopping.no_gain,
                    member.stopping.over_ratio,
                ],
                "buffer": [epoch for epoch, _ in member.stopping.states],
            }
        )
    return State(epoch, tensors, facts)


def unpack(
    state: State, stack: "Stack", optimizer: "Optimizer", members: "Sequence[Member]"
) -> int:
    """Put everything back where `pack` found it; returns the last finished epoch."""
    tensors = state.tensors
    for member, facts in zip(members, state.facts["members"], strict=True):
        name = f"member.{member.index}"
        member.steps, member.kept_epoch = facts["steps"], facts["kept_epoch"]
        member.bad_steps, member.reason = facts["bad_steps"], facts["reason"]
        member.best.epoch, member.best.score, member.best.loss = facts["best"]
        member.best.state = tensors[f"{name}.best"]
        member.state = tensors[f"{name}.state"]
        member.held_out = np.asarray(tensors[f"{name}.held_out"])
        stopping = member.stopping
        stopping.best_loss, stopping.no_gain, stopping.over_ratio = facts["stopping"]
        stopping.states.extend((e, tensors[f"{name}.buffer.{e}"]) for e in facts["buffer"])
    going = [member.index for member in members if not member.reason]
    if going and len(going) < stack.members:
        optimizer.keep(going)
    with torch.no_grad():
        if tensors["heads"].shape == stack.heads.shape:
            stack.adapters.copy_(tensors["adapters"])
            stack.heads.copy_(tensors["heads"])
    moments: list[dict[str, Tensor]] = []
    for i in range(state.facts["moments"]):
        prefix = f"moments.{i}."
        moments.append(
            {
                key.removeprefix(prefix): value
                for key, value in tensors.items()
                if key.startswith(prefix)
            }
        )
    if going:
        optimizer.restore(moments)
    return state.epoch
