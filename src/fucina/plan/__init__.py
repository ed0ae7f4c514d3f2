"""What a training will take, before it runs: time, memory, disk, tokens and cost.

A formula counts what each stage asks for; a probe of real steps, or past runs on this machine,
say how far the formula is off; other machines come from hardware.yaml.
"""

from fucina.plan.estimate import TRAINING, Correction, Estimate, estimate
from fucina.plan.laps import Lap, Laps
from fucina.plan.machine import Machine, catalog, fingerprint, here
from fucina.plan.network import Network, measure
from fucina.plan.size import disk, memory, store_bytes
from fucina.plan.work import Shapes, Stage, Work, work

__all__ = [
    "TRAINING",
    "Correction",
    "Estimate",
    "Lap",
    "Laps",
    "Machine",
    "Network",
    "Shapes",
    "Stage",
    "Work",
    "catalog",
    "disk",
    "estimate",
    "fingerprint",
    "here",
    "measure",
    "memory",
    "store_bytes",
    "work",
]
