"""Cases that must be right, judged apart from the scores."""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from fucina.errors import DataError, nearest
from fucina.models.ensemble import Ensemble
from fucina.records import Dataset, MustFix

__all__ = ["must_fix", "require_known"]


def require_known(cases: Dataset, labels: Collection[str]) -> None:
    """Refuse a case whose label training does not have.

    Raises:
        DataError: It names the row and the nearest label.
    """
    for case in cases.examples:
        if case.target not in labels:
            raise DataError(
                f"evaluation.must_fix, {case.origin}: no label {case.target!r} in the data.",
                fix=nearest(case.target, labels),
            )


def must_fix(
    model: Ensemble, cases: Dataset, learned: Collection[str], *, threads: ThreadPoolExecutor
) -> tuple[MustFix, ...]:
    """Answer each case.

    Args:
        model: The trained model.
        cases: Texts with the label that they must get.
        learned: Texts of training, so that a case that was learnt is told from one that was not.
        threads: Where answers are computed.
    """
    answers = model.predict(cases.prompts, threads=threads, targets=cases.targets)
    return tuple(
        MustFix(prompt, target, answer, float(sure), answer == target, prompt in learned)
        for prompt, target, answer, sure in zip(
            answers.prompts, answers.targets, answers.answers, answers.confidences, strict=True
        )
    )
