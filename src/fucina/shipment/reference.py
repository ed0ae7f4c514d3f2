"""What an export of a model that writes is held against."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from fucina.export import gguf
from fucina.models import saved, threads
from fucina.models.ensemble import Ensemble
from fucina.models.writer import Writer
from fucina.opening import load_as, load_wide
from fucina.records import Dataset, Example
from fucina.shipment.picking import keep, picked
from fucina.using import test_set

if TYPE_CHECKING:
    from fucina.export.gguf import Trained
    from fucina.models.by_name import ByName
    from fucina.shipment.job import Job

__all__ = ["Reference", "open_writer", "reference"]


@dataclass(frozen=True)
class Reference:
    """What an export of a model that writes is held against.

    Attributes:
        model: The picked members; one that weighs labels by their names where it was trained so.
        writer: The same, writing freely.
        rows: The test set.
        trained: What it made of the first of them.
    """

    model: Ensemble | Writer
    writer: Writer
    rows: Dataset
    trained: "Trained"

    def usage(self, base: str, members: Sequence[str] = ("",), file: str = "") -> dict[str, Any]:
        """What the page of an export needs, to say how it is used.

        Args:
            base: What adapters are loaded onto.
            members: Their folders.
            file: Of GGUF.
        """
        halves = self.writer.base.halves is not None
        return {
            "kind": "text", "members": list(members), "base": base, "halves": halves, "file": file,
        }  # fmt: skip

    @property
    def cases(self) -> tuple[Example, ...]:
        """The rows that are compared."""
        return self.trained.rows


def open_writer(job: "Job") -> Ensemble | Writer:
    """The trained model, in float32 whatever it was trained in: rounding would hide errors."""
    base = load_wide(job.folder, job.recipe)
    model: Any = load_as(job.folder, job.recipe, threads.count(job.threads), base=base)
    return model


def reference(job: "Job", model: Ensemble | Writer) -> Reference:
    """The picked members, and what they write to test rows.

    Args:
        job: The export.
        model: As `open_writer` gives it.
    """
    members = picked(job)
    kept = keep(model, members)
    writer = kept if isinstance(kept, Writer) else _freely(job, kept, members)
    rows = test_set(job.folder)
    trained = gguf.trained_on(writer, rows.examples[: job.config.cases], progress=job.progress)
    # The mean of weights is another model than the members together: told, not judged.
    mean = job.wanted == "averaged" and len(members) > 1
    return Reference(kept, writer, rows, replace(trained, exact=False) if mean else trained)


def _freely(job: "Job", named: Ensemble, members: list[int]) -> Writer:
    """The members of a model that weighs labels by their names, as one that writes them."""
    whole = saved.load_writer(job.folder, job.recipe, named.base, workers=1)
    weigher = cast("ByName", named.weigher)
    return replace(keep(whole, members), max_new_tokens=weigher.names.longest)
