"""A probe: a small real run of a recipe, thrown away, to see how far the formula is off here.

The engine itself trains: the same stack of k members, the same batches, floor, held-out passes,
answers and baselines, on a part of the rows and for two epochs. Nothing of the loop is copied.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina import flow, plan, run
from fucina.records import Progress, Split
from fucina.tasks.settings import learnt_as

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["LIMIT_S", "TEST_ROWS", "probe", "shortened"]

LIMIT_S = 20.0
TEST_ROWS = 8  # each is also asked alone, which takes long on a busy machine
TOKENS = 16  # of an answer at most
EPOCHS = 2  # the first pays for what later ones find ready: products of new shapes, memory
OUTLIER = 3.0  # times the median step: something else had the processor


class _TimeUp(Exception):
    """Raised in the progress of a probe when its time is over."""


@dataclass
class _Watch:
    """Remembers when each step of a training ended, and stops the probe in time."""

    show: Progress
    limit_s: float
    began: float = field(default_factory=time.time)
    steps: list[float] = field(default_factory=list)
    total: int = 0

    def see(self, what: str, _: int, total: int) -> None:
        """Take note of a step of the engine, as its progress."""
        now = time.time()
        if what == "training":
            self.steps.append(now)
            self.total = total
        spent = now - self.began
        self.show("probe: a small real run", int(min(spent, self.limit_s)), int(self.limit_s))
        if spent > self.limit_s:
            raise _TimeUp

    @property
    def step_s(self) -> float:
        """Mean seconds of a step once warm; a step far above the median counts as three medians."""
        done = len(self.steps)
        warm = self.total // EPOCHS  # steps of the first epoch; between epochs rows are judged
        taken = np.diff(self.steps[warm:] if done > warm + 1 else self.steps[done // 4 :])
        if not len(taken):
            return 0.0
        return float(np.minimum(taken, OUTLIER * median(taken)).mean())


def probe(
    recipe: "Recipe",
    root: Path,
    split: Split,
    *,
    rows: int,
    limit_s: float,
    progress: Progress,
) -> dict[str, Any] | None:
    """Run a part of a recipe in a scratch folder.

    Args:
        recipe: What is planned.
        root: The folder that paths in the recipe are relative to.
        split: All of its rows.
        rows: Development rows to take.
        limit_s: The probe stops after this, with whatever it has seen.
        progress: Shows seconds.

    Returns:
        What plan.json of the small run holds, with what was seen as its truth; None when the time
        was over before any stage ended. Libraries are imported already, so its `loading` is short.
    """
    small = plan.part(split, rows, TEST_ROWS, seed=recipe.seed)
    watch = _Watch(progress, limit_s)
    with TemporaryDirectory() as scratch:
        once = shortened(recipe).model_copy(update={"output": scratch})
        _until(lambda: flow.forge(once, root, small, findings=[], progress=watch.see, say=_quiet))
        folders = sorted(Path(scratch).glob("*/*/plan.json"))
        if not folders:
            return None
        record = run.read_json(folders[0])
        events = run.read_events(folders[0].parent)
    # Words are also judged before the first step.
    judged = EPOCHS if learnt_as(recipe) == "label" else EPOCHS + 1
    return _seen(record, events, watch, judged=judged)


def shortened(recipe: "Recipe") -> "Recipe":
    """The recipe as a probe runs it: few epochs, short answers, no demands."""
    epochs = {"epochs": EPOCHS}
    tokens = {"max_new_tokens": min(TOKENS, recipe.chat.max_new_tokens)}
    return recipe.model_copy(
        update={
            "training": recipe.training.model_copy(update=epochs),
            "chat": recipe.chat.model_copy(update=tokens),
            "evaluation": recipe.evaluation.model_copy(update={"rules": None, "must_fix": None}),
        }
    )


def _seen(
    record: dict[str, Any], events: list[dict[str, Any]], watch: _Watch, *, judged: int
) -> dict[str, Any] | None:
    """Add to the record of a small run what was seen of it, its warm-up left out."""
    laps = [event for event in events if event["event"] == "stage"]
    seconds = {lap["stage"]: lap["seconds"] for lap in laps}
    if watch.step_s:
        # Building the stack and the first steps happen once; they must not count for every epoch.
        ended = [lap["time"] for lap in laps if lap["stage"] == "training"]
        written = seconds.get("checkpoints", 0.0)
        judging = judged * (ended[0] - watch.steps[-1]) - written if ended else 0.0
        seconds["training"] = watch.step_s * watch.total + max(judging, 0.0)
        # A short burst of writing is quicker than what a disk keeps up.
        seconds["checkpoints"] = max(written, record["estimate"]["seconds"]["checkpoints"])
    if not laps:
        return None
    record["truth"] = {
        "seconds": seconds,
        "epochs": EPOCHS,
        "resumed": False,
        "peak_mib": sum(record["estimate"]["memory"].values()) + _beyond(record, laps[0]),
    }
    return record


def _beyond(record: dict[str, Any], loaded: dict[str, Any]) -> float:
    """MiB that libraries and weights take beyond the formula.

    The rest of the peak grows over a whole run (holes between tensors), which no probe shows: its
    own peak measured a tenth to a third too low.
    """
    if loaded["peak_vram_mib"]:
        return 0.0
    memory = record["estimate"]["memory"]
    return loaded["peak_memory_mib"] - plan.LIBRARIES_MIB - memory["weights"]


def _until(job: Callable[[], object]) -> None:
    try:
        job()
    except _TimeUp:
        return


def _quiet(_: str) -> None:
    """A probe has nothing to tell: its warnings are about a part of the rows."""
