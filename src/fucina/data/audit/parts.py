"""Rows of several parts: each part is looked at alone, and then what they are beside each other."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

from fucina.data.audit.duplicates import same_text
from fucina.data.audit.subject import Subject, brief, conversation, shown
from fucina.records import Dataset, Example, Finding

__all__ = ["each", "together"]


def each(subject: Subject, check: Callable[[Subject], list[Finding]]) -> list[Finding]:
    """What a check finds in each part, which its message then names; or in all where is one."""
    if not subject.parts:
        return check(subject)
    return [
        replace(finding, message=f"{part}: {finding.message}")
        for part in subject.parts
        for finding in check(_alone(subject, part))
    ]


def together(subject: Subject) -> list[Finding]:
    """Parts that the model cannot tell apart; texts of one part's test that another learns."""
    return [*_alike(subject), *_shared(subject)] if subject.parts else []


def _alone(subject: Subject, name: str) -> Subject:
    """The rows of one part."""

    def own(rows: Dataset | None) -> Dataset | None:
        return None if rows is None else rows.take(_places(rows, name))

    return replace(
        subject, train=subject.train.take(_places(subject.train, name)),
        validation=own(subject.validation), test=own(subject.test),
        own=subject.parts[name], parts={},
    )  # fmt: skip


def _places(rows: Dataset, name: str) -> list[int]:
    return [place for place, row in enumerate(rows.examples) if row.facts["part"] == name]


def _alike(subject: Subject) -> list[Finding]:
    """Parts that say the same before what is asked."""
    before: dict[str, set[str]] = {part: set() for part in subject.parts}
    for row in subject.train.examples:
        first = conversation(row)[0]
        before[row.facts["part"]].add(first.content if first.role == "system" else "")
    pairs = [
        f"{one} and {other}"
        for one, other in combinations(before, 2)
        if before[one] & before[other]
    ]
    if not pairs:
        return []
    return [
        Finding(
            "parts_alike", "warning",
            f"{shown(pairs)} begin with the same words of the system, or with none: only what is "
            "asked tells the model which it is.",
            "Write system: in each of these parts.",
        )
    ]  # fmt: skip


def _shared(subject: Subject) -> list[Finding]:
    """What is asked in the test of one part and learnt in another, as of one post in both."""
    if subject.test is None:
        return []
    learned: dict[str, list[Example]] = {}
    for row in subject.train.examples:
        learned.setdefault(same_text(row.prompt), []).append(row)
    pairs = [
        (row, other)
        for row in subject.test.examples
        for other in learned.get(same_text(row.prompt), [])[:1]
        if other.facts["part"] != row.facts["part"]
    ]
    if not pairs:
        return []
    return [
        Finding(
            "part_leak", "warning",
            f"{len(pairs)} of {len(subject.test)} test rows ask what another part learns "
            f"({shown([f'{row.origin} = {other.origin}' for row, other in pairs])}): the model has "
            "read their texts.",
            "Keep a text on one side in all parts; without test files the split does so.",
            tuple(row.origin for row, _ in pairs),
            tuple(f"{other.origin}: {brief(row.prompt)}" for row, other in pairs),
        )
    ]  # fmt: skip
