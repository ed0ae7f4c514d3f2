"""Texts that are there twice: in one file, with two labels, or on both sides of a split."""

from fucina.data.audit.subject import Subject, brief, conversation, shown
from fucina.records import Dataset, Example, Finding

__all__ = ["check", "same_text"]


def check(subject: Subject) -> list[Finding]:
    """Compare texts as they are, but for case and spaces; of conversations all turns."""
    text = subject.answer == "text"
    found = _spoken_twice(subject.train) if text else _repeated(subject.train)
    sides = subject.sides
    for i, one in enumerate(sides):
        for other in sides[i + 1 :]:
            found += _across(one, other, text=text, allowed=subject.allow_duplicates)
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


def _asked(example: Example) -> str:
    """All that is said before the last answer, by whom."""
    return _written(example, end=-1)


def _written(example: Example, *, end: int | None = None) -> str:
    said = conversation(example)[:end]
    return "\0".join(f"{t.role}:{same_text(t.content)}{list(t.tool_calls) or ''}" for t in said)


def _spoken_twice(train: Dataset) -> list[Finding]:
    """Conversations that come again; and questions with several answers, which is ordinary."""
    first: dict[str, Example] = {}
    asked: dict[str, list[Example]] = {}
    same: dict[str, str] = {}
    for example in train.examples:
        earlier = first.setdefault(_written(example), example)
        if earlier is example:
            asked.setdefault(_asked(example), []).append(example)
        else:
            same[example.origin] = f"= {earlier.origin}: {brief(example.prompt)}"
    found = []
    if same:
        found.append(
            Finding(
                "duplicate", "warning",
                f"{len(same):,} row(s) repeat an earlier conversation word for word "
                f"({shown(list(same))}).",
                "Delete them.",
                tuple(same), tuple(same.values()), dict.fromkeys(same),
            )
        )  # fmt: skip
    several = [own for own in asked.values() if len(own) > 1]
    if several:
        rows = [example for own in several for example in own]
        found.append(
            Finding(
                "several_answers", "note",
                f"{len(several):,} question(s) have more than one answer, {len(rows):,} rows in "
                f"all ({shown([example.origin for example in rows])}).",
                "Look whether they contradict each other; different words for the same are fine.",
                tuple(example.origin for example in rows),
                tuple(f"{brief(e.prompt, 40)} → {brief(e.target, 40)}" for e in rows),
            )
        )  # fmt: skip
    return found


def _across(one: Dataset, other: Dataset, *, text: bool, allowed: bool) -> list[Finding]:
    """Rows of `other` that are in `one`; the repair takes them out of `one`, never out of test."""

    def key(example: Example) -> str:
        return _asked(example) if text else same_text(example.prompt)

    later = {key(example): example for example in other.examples}
    both = [(e, later[key(e)]) for e in one.examples if key(e) in later]
    found = []
    # A greeting may well be in both; with the answer that the judge expects it may not.
    for check, pairs in (
        ("leak", [p for p in both if not text or same_text(p[0].target) == same_text(p[1].target)]),
        ("question_leak", [p for p in both if same_text(p[0].target) != same_text(p[1].target)]),
    ):
        if not pairs or (check == "question_leak" and not text):
            continue
        told = [f"{mine.origin} = {theirs.origin}" for mine, theirs in pairs]
        count = len({theirs.origin for _, theirs in pairs})
        error = check == "leak" and not allowed
        what = "rows" if check == "leak" else "questions"
        found.append(
            Finding(
                check, "error" if error else "warning",
                f"{count} of {len(other)} {other.name} {what} are in {one.name} too "
                f"({shown(told)}): the score would be too good.",
                "Delete them from one side, or set data.allow_duplicates=true.",
                tuple(mine.origin for mine, _ in pairs), tuple(told),
                dict.fromkeys(mine.origin for mine, _ in pairs) if error else {},
            )
        )  # fmt: skip
    return found
