"""Machines: this one, measured in a moment, and those of hardware.yaml."""

import hashlib
import json
import platform
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import torch
from ruamel.yaml import YAML

from fucina.models.product import linear
from fucina.models.threads import count

__all__ = ["Machine", "catalog", "fingerprint", "here", "product_rate"]

HARDWARE = Path(__file__).with_name("hardware.yaml")
ROUNDS = 3
PRODUCTS = 5
# Of what bare products reach, a pass reaches this: between products, tensors are added, normed and
# turned. Measured on five recipes with MiniLM (benchmarks/plan.py).
SHARES = {"bfloat16": 0.33, "float32": 0.55}
ROWS = 512  # of a product: like those of small passes, so what it reaches already pays for that
LAUNCH_S = 0.6e-3  # for one layer of small tensors on a GPU: about 80 launches of 7 microseconds


@dataclass(frozen=True)
class Machine:
    """What a machine can do.

    Attributes:
        name: What people call it.
        gpu: Whether the network runs on a GPU.
        precision: Of the frozen weights there.
        flops_s: Operations a second that products reach, all workers together.
        bytes_s: Bytes a second through the memory that holds the parameters.
        memory_mib: Free memory: RAM, or that of the GPU.
        workers: Passes under way at once.
        layer_s: Least seconds for a call of one layer.
        price: USD an hour.
        source: Where its numbers come from.
    """

    name: str
    gpu: bool
    precision: str
    flops_s: float
    bytes_s: float
    memory_mib: float
    workers: int
    layer_s: float
    price: float = 0.0
    source: str = "measured"

    @property
    def weight_bytes(self) -> int:
        """Bytes of a frozen number."""
        return 2 if self.precision == "bfloat16" else 4


def here(pool: ThreadPoolExecutor, precision: str, *, price: float = 0.0) -> Machine:
    """This machine, by a few products in all threads at once: about 50 ms, once a process.

    The best of a few rounds is taken, because whatever else runs can only make it slower.
    """
    gpu = torch.cuda.is_available()
    free = torch.cuda.mem_get_info()[0] if gpu else psutil.virtual_memory().available
    return Machine(
        name="this machine",
        gpu=gpu,
        precision=precision,
        flops_s=product_rate(pool, precision) * SHARES[precision],
        bytes_s=11e9 if not gpu else 5e11,
        memory_mib=free / 2**20,
        workers=count(pool),
        layer_s=LAUNCH_S if gpu else 0.5e-3,
        price=price,
    )


_known: dict[str, float] = {}


def product_rate(pool: ThreadPoolExecutor, precision: str) -> float:
    """Operations a second of all threads; remembered, so that estimates of a process agree."""
    if precision not in _known:
        rounds = [sum(pool.map(_products, [precision] * count(pool))) for _ in range(ROUNDS)]
        _known[precision] = max(rounds)
    return _known[precision]


def _products(precision: str) -> float:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    x = torch.ones(ROWS, 384, dtype=kind, device=device)
    weight = torch.ones(1536, 384, dtype=kind, device=device)
    times = []
    for _ in range(PRODUCTS):
        began = time.perf_counter()
        linear(x, weight).sum().item()
        times.append(time.perf_counter() - began)
    return 2 * x.numel() * len(weight) / statistics.median(times)


@cache
def _hardware() -> list[dict[str, Any]]:
    return YAML(typ="safe").load(HARDWARE.read_text(encoding="utf-8"))


def catalog(*, full: bool) -> list[Machine]:
    """The machines of hardware.yaml.

    Args:
        full: Whether all weights are trained, which is never done in bfloat16.

    Example:
        >>> [machine.name for machine in catalog(full=False)][:2]
        ['RTX 3050 laptop, 4 GB', 'T4']
    """
    return [_machine(entry, full=full) for entry in _hardware()]


def _machine(entry: Mapping[str, Any], *, full: bool) -> Machine:
    gpu = entry["kind"] == "gpu"
    half = entry["bfloat16_tflops"]["value"]
    precision = "bfloat16" if half and not full else "float32"
    peak = half if precision == "bfloat16" else entry["float32_tflops"]["value"]
    return Machine(
        name=entry["name"],
        gpu=gpu,
        precision=precision,
        flops_s=peak * 1e12 * entry["efficiency"]["value"],
        bytes_s=entry["bandwidth_gb_s"]["value"] * 1e9 * 0.5,
        memory_mib=entry["memory_gib"]["value"] * 1024,
        workers=1 if gpu else 8,
        layer_s=LAUNCH_S if gpu else 0.25e-3,
        price=entry["price"]["value"],
        source="formula alone; the efficiency is an assumption",
    )


def fingerprint(workers: int) -> str:
    """Eight letters that tell machines apart: processor, cores in use, memory, GPU, torch."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    memory = round(psutil.virtual_memory().total / 2**30)
    facts = [_processor(), workers, memory, gpu, torch.__version__]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]


def _processor() -> str:
    """Its name as the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
