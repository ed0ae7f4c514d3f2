"""What a training will take, before it runs: time, memory, disk, tokens and cost."""

from fucina.plan.laps import Lap, Laps

__all__ = ["Lap", "Laps"]
