"""What a training will take, before it runs: time, memory, disk, tokens and cost.

A formula counts what each stage asks for; a probe of real steps, or past runs on this machine,
say how far the formula is off; other machines come from hardware.yaml.
"""

from fucina.plan.arithmetic import Stage
from fucina.plan.estimate import TRAINING, Correction, Estimate, estimate
from fucina.plan.fitting import changes, decided, fits_in
from fucina.plan.history import Past, from_record, learn, past_error
from fucina.plan.machine import Machine, catalog, fingerprint, here, product_rate
from fucina.plan.network import Network, measure
from fucina.plan.sample import part
from fucina.plan.shapes import Shapes, Sources, Texts
from fucina.plan.size import LIBRARIES_MIB, disk, memory, store_bytes
from fucina.plan.work import WRITE_BYTES_S, Work, work

__all__ = [
    "LIBRARIES_MIB",
    "TRAINING",
    "WRITE_BYTES_S",
    "Correction",
    "Estimate",
    "Machine",
    "Network",
    "Past",
    "Shapes",
    "Sources",
    "Stage",
    "Texts",
    "Work",
    "catalog",
    "changes",
    "decided",
    "disk",
    "estimate",
    "fingerprint",
    "fits_in",
    "from_record",
    "here",
    "learn",
    "measure",
    "memory",
    "part",
    "past_error",
    "product_rate",
    "store_bytes",
    "work",
]
