"""Cases that must be right, judged apart from the scores."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from fucina.config import RuleConfig
from fucina.errors import DataError, nearest
from fucina.metrics import broken
from fucina.models.ensemble import Ensemble
from fucina.models.writer import Writer
from fucina.records import Case, Dataset, MustFix

__all__ = ["must_fix", "must_fix_texts", "require_known"]


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


def must_fix_texts(
    model: Writer, cases: Sequence[Case], learned: Collection[str], *, threads: ThreadPoolExecutor
) -> tuple[MustFix, ...]:
    """Write an answer to each case, and hold it against what the case demands.

    Args:
        model: The trained model.
        cases: What is asked, and what must be answered.
        learned: Prompts of training.
        threads: Where answers are written.
    """
    rows = [case.example for case in cases]
    written = model.predict(rows, threads=threads, foretell=False).answers
    return tuple(
        MustFix(
            case.example.prompt,
            _demanded(case),
            answer,
            None,
            _right(case, answer),
            case.example.prompt in learned,
        )
        for case, answer in zip(cases, written, strict=True)
    )


def _right(case: Case, answer: str) -> bool:
    """Whether an answer is as demanded; white space counts as one space."""
    rules = [RuleConfig(name="must", must=case.must)] if case.must else []
    rules += [RuleConfig(name="must not", must_not=case.must_not)] if case.must_not else []
    exact = not case.example.target or answer.split() == case.example.target.split()
    return exact and not broken(rules, "", answer, guess_language=lambda _: "")


def _demanded(case: Case) -> str:
    parts = [f"«{case.example.target}»"] if case.example.target else []
    parts += [f"match {pattern}" for pattern in case.must]
    return ", ".join([*parts, *(f"not match {pattern}" for pattern in case.must_not)])
