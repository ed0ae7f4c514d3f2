"""Texts that are there twice: in one file, with two labels, or on both sides of a split."""

from fucina.data.audit.subject import Subject, shown
from fucina.records import Dataset, Finding

__all__ = ["check", "same_text"]


def check(subject: Subject) -> list[Finding]:
    """Compare texts as they are, but for case and spaces."""
    found = _repeated(subject.train)
    sides = subject.sides
    for i, one in enumerate(sides):
        for other in sides[i + 1 :]:
            found += _across(one, other, allowed=subject.allow_duplicates)
    return found


def same_text(text: str) -> str:
    """What two texts have in common when they differ in case and spaces alone."""
    return " ".join(text.casefold().split())


def _repeated(train: Dataset) -> list[Finding]:
    first: dict[str, int] = {}
    same: dict[str, str] = {}
    contradict: dict[str, str] = {}
    for row, example in enumerate(train.examples):
        earlier = first.setdefault(same_text(example.prompt), row)
        if earlier == row:
            continue
        other = train.examples[earlier]
        if other.target == example.target:
            same[example.origin] = f"= {other.origin}: {example.prompt}"
        else:
            contradict[example.origin] = (
                f"{other.origin} {other.target} / {example.origin} {example.target}"
            )
    found = []
    if contradict:
        found.append(
            Finding(
                "contradiction", "warning",
                f"{len(contradict)} text(s) appear twice with different labels "
                f"({shown(list(contradict.values()), '; ')}).",
                "Decide on one label.",
                tuple(contradict), tuple(contradict.values()),
            )
        )  # fmt: skip
    if same:
        found.append(
            Finding(
                "duplicate", "warning",
                f"{len(same)} row(s) repeat an earlier one ({shown(list(same))}); "
                "they are kept on one side of every split.",
                "Delete them.",
                tuple(same), tuple(same.values()), dict.fromkeys(same),
            )
        )  # fmt: skip
    return found


def _across(one: Dataset, other: Dataset, *, allowed: bool) -> list[Finding]:
    """Rows of `other` that are in `one`; the repair takes them out of `one`, never out of test."""
    later = {same_text(example.prompt): example for example in other.examples}
    both = [(e, later[same_text(e.prompt)]) for e in one.examples if same_text(e.prompt) in later]
    if not both:
        return []
    pairs = [f"{mine.origin} = {theirs.origin}" for mine, theirs in both]
    count = len({theirs.origin for _, theirs in both})
    return [
        Finding(
            "leak", "warning" if allowed else "error",
            f"{count} of {len(other)} {other.name} rows are in {one.name} too "
            f"({shown(pairs)}): the score would be too good.",
            "Delete them from one side, or set data.allow_duplicates=true.",
            tuple(mine.origin for mine, _ in both), tuple(pairs),
            {} if allowed else {mine.origin: None for mine, _ in both},
        )
    ]  # fmt: skip
