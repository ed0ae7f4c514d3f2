"""What a run will take on a machine: the formula, and what experience makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fucina.plan.arithmetic import Stage
from fucina.plan.machine import Machine
from fucina.plan.size import disk, memory
from fucina.plan.work import WRITE_BYTES_S, Work

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["TRAINING", "Correction", "Estimate", "estimate"]

# What is not in here is evaluation: answers, baselines, timing, intervals, report.
TRAINING = ("libraries", "rows", "loading", "reading", "floor", "training", "checkpoints", "saving")


@dataclass(frozen=True)
class Correction:
    """What was seen beside what the formula said.

    Attributes:
        ratios: Stage to seconds seen / seconds of the formula.
        memory_mib: To add to the memory of the formula.
        source: Where it was seen.
    """

    ratios: Mapping[str, float] = field(default_factory=dict)
    memory_mib: float = 0.0
    source: str = "formula alone"


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
        machine: On which machine.
        seconds: Stage to seconds, for all epochs of the recipe.
        memory: Part to MiB, on the device that computes; they add up to the peak.
        disk: Part to MiB; the checkpoint is gone at the end.
        epoch_s: Seconds of the steps of one epoch.
        cost: USD for all of it.
        source: What the estimate rests on.
        corrected: A probe or past runs on this machine had their say.
    """

    machine: str
    seconds: Mapping[str, float]
    memory: Mapping[str, float]
    disk: Mapping[str, float]
    epoch_s: float
    cost: float
    source: str
    corrected: bool

    @property
    def total_s(self) -> float:
        """All stages."""
        return sum(self.seconds.values())

    @property
    def training_s(self) -> float:
        """Up to the saved members."""
        return sum(self.seconds[stage] for stage in TRAINING if stage in self.seconds)

    @property
    def peak_mib(self) -> float:
        """The most memory at once."""
        return sum(self.memory.values())

    @property
    def disk_mib(self) -> float:
        """The run folder at its fullest."""
        return sum(self.disk.values())

    @property
    def export_mib(self) -> float:
        """What an export takes along: the members."""
        return self.disk["members"]


def estimate(
    work: Work, machine: Machine, recipe: "Recipe", correction: Correction | None = None
) -> Estimate:
    """Estimate a run on a machine.

    Args:
        work: What is asked for.
        machine: Where.
        recipe: How.
        correction: What a probe or past runs showed; None for the formula alone.
    """
    known = correction or Correction()
    seconds = {
        name: _seconds(stage, machine) * known.ratios.get(name, 1.0)
        for name, stage in work.stages.items()
    }
    parts = dict(
        memory(
            work,
            recipe,
            weight_bytes=machine.weight_bytes,
            workers=machine.workers,
            gpu=machine.gpu,
        )
    )
    if known.memory_mib:
        parts["seen beyond the formula"] = known.memory_mib
    epoch_s = (seconds["training"] + seconds["checkpoints"]) / work.epochs
    total = sum(seconds.values())
    return Estimate(
        machine=machine.name,
        seconds=seconds,
        memory=parts,
        disk=disk(work, recipe),
        epoch_s=epoch_s,
        cost=total / 3600 * machine.price,
        source=machine.source if correction is None else known.source,
        corrected=bool(known.ratios),
    )


def _seconds(stage: Stage, machine: Machine) -> float:
    """Products and launches overlap on a GPU; the rest comes one after the other."""
    calls = (stage.layers / machine.workers + stage.alone) * machine.layer_s
    products = stage.flops / machine.flops_s
    network = max(products, calls) if machine.gpu else products + calls
    moved = stage.bytes_moved / machine.bytes_s
    return network + moved + stage.bytes_written / WRITE_BYTES_S + stage.processor_s
