"""One number for a set of rows, and the list of those to review, the most suspicious first."""

from collections.abc import Sequence
from dataclasses import dataclass

from fucina.records import Dataset, Finding

__all__ = ["Quality", "quality"]

# These name rows as examples of what is wrong with the whole.
OF_THE_SET = {"balance", "few_rows", "few_spans", "same_length", "style_address", "style_split"}


@dataclass(frozen=True)
class Quality:
    """How much of a file nothing speaks against.

    Attributes:
        name: Of the rows: train, validation or test.
        rows: How many there are.
        share: Of rows that no error and no warning names, 0 to 1.
        review: The others, those that most checks name first: origin to the names of the checks.
    """

    name: str
    rows: int
    share: float
    review: dict[str, tuple[str, ...]]


def quality(rows: Dataset, findings: Sequence[Finding]) -> Quality:
    """Count the rows of one file that an audit has nothing against; notes do not count.

    Example:
        >>> from fucina.records import Example
        >>> rows = Dataset("train", tuple(Example("x", "l", origin=f"a:{i}") for i in range(4)))
        >>> found = quality(rows, [Finding("duplicate", "warning", "twice", rows=("a:2",))])
        >>> found.share, found.review
        (0.75, {'a:2': ('duplicate',)})
    """
    named: dict[str, list[str]] = {example.origin: [] for example in rows.examples}
    for finding in findings:
        if finding.severity == "note" or finding.check in OF_THE_SET:
            continue
        for origin in finding.rows:
            if origin in named and finding.check not in named[origin]:
                named[origin].append(finding.check)
    review = {origin: tuple(checks) for origin, checks in named.items() if checks}
    ordered = sorted(review, key=lambda origin: -len(review[origin]))
    share = 1 - len(review) / len(rows) if len(rows) else 0.0
    return Quality(rows.name, len(rows), share, {origin: review[origin] for origin in ordered})
