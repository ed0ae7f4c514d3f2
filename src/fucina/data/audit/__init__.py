"""Look at the rows before anything is trained on them: one module a check."""

from collections.abc import Callable, Sequence

from fucina.data.audit import (
    answers,
    constitution,
    cut_answers,
    duplicates,
    encoding,
    label_noise,
    labels,
    language,
    length,
    near_duplicates,
    parts,
    personal,
    rendering,
    roles,
    spans,
    style,
)
from fucina.data.audit.subject import Subject
from fucina.errors import DataError
from fucina.records import Answer, Finding, Progress, silent

__all__ = ["Subject", "audit", "checks", "gate", "raise_errors"]

Check = Callable[[Subject], list[Finding]]

# Quick, and what they call an error makes a run impossible.
GATES: dict[str, tuple[Check, ...]] = {
    "label": (labels.check, duplicates.check),
    "text": (answers.empty, roles.check, duplicates.check),
    "spans": (spans.check, duplicates.check),
}
REST: dict[str, tuple[Check, ...]] = {
    "label": (label_noise.check,),
    "text": (
        answers.check,
        cut_answers.check,
        style.check,
        constitution.check,
        rendering.check,
    ),
    "spans": (spans.consistent,),
}
ALWAYS: tuple[Check, ...] = (
    near_duplicates.check,
    length.check,
    encoding.check,
    language.check,
    personal.check,
)
ORDER = {"error": 0, "warning": 1, "note": 2}


def audit(subject: Subject, *, progress: Progress = silent) -> list[Finding]:
    """Run every check.

    Args:
        subject: The rows of a recipe.
        progress: Told before each check.

    Returns:
        Findings, errors first.

    Raises:
        MissingExtraError: A library of a check is not installed.
    """
    found: list[Finding] = []
    wanted = checks(subject.answer)
    for number, check in enumerate(wanted):
        progress(f"check {check.__module__.rsplit('.', 1)[-1]}", number, len(wanted))
        found += parts.each(subject, check)
    found += [*parts.each(subject, _own), *parts.together(subject)]
    return sorted(found, key=lambda finding: ORDER[finding.severity])


def checks(answer: Answer) -> tuple[Check, ...]:
    """All checks for one kind of answer, in the order in which they run."""
    return (*GATES[answer], *ALWAYS, *REST[answer])


def gate(subject: Subject) -> list[Finding]:
    """Run the checks that every training begins with; findings come errors first."""
    wanted = (*GATES[subject.answer], _own)
    found = [finding for check in wanted for finding in parts.each(subject, check)]
    found += parts.together(subject)
    return sorted(found, key=lambda finding: ORDER[finding.severity])


def _own(subject: Subject) -> list[Finding]:
    """What the checks of the task find."""
    return [f for rows in subject.sides for check in subject.own for f in check(rows)]


def raise_errors(findings: Sequence[Finding]) -> None:
    """Stop if a finding is an error.

    Raises:
        DataError: With all errors in one message.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise DataError(
            " ".join(finding.message for finding in errors),
            fix=" ".join(dict.fromkeys(finding.fix for finding in errors)),
        )
