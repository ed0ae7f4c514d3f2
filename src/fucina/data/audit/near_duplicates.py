"""Texts that differ by a word or a letter, in one file or on both sides of a split."""

from collections import Counter

from fucina.data.audit.duplicates import same_text
from fucina.data.audit.subject import Subject, conversation, shown
from fucina.data.similar import clusters, normalized
from fucina.records import Example, Finding

__all__ = ["check"]

MANY = 0.2  # of the rows of train; below this near duplicates are ordinary


def check(subject: Subject) -> list[Finding]:
    """Cluster the rows of all files together."""
    asked = _questions if subject.answer == "text" else _prompt
    rows: list[tuple[str, Example, str]] = [
        (side.name, example, same_text(asked(example)))
        for side in subject.sides
        for example in side.examples
    ]
    numbers = clusters([normalized(asked(example)) for _, example, _ in rows])
    members: dict[int, list[int]] = {}
    for row, number in enumerate(numbers):
        members.setdefault(int(number), []).append(row)
    # Rows equal but for case and spaces are another check's.
    several = [c for c in members.values() if len({rows[row][2] for row in c}) > 1]
    return [*_within(subject, rows, several), *_across(subject, rows, several)]


def _prompt(example: Example) -> str:
    return example.prompt


def _questions(example: Example) -> str:
    """What the user says in a conversation; what is answered may well be the same."""
    said = [turn.content for turn in conversation(example) if turn.role == "user"]
    return "\n".join(said)


def _within(
    subject: Subject, rows: list[tuple[str, Example, str]], several: list[list[int]]
) -> list[Finding]:
    inside = [[r for r in cluster if rows[r][0] == subject.train.name] for cluster in several]
    inside = sorted((c for c in inside if len(c) > 1), key=len, reverse=True)
    if not inside:
        return []
    count = sum(map(len, inside))
    mixed = [c for c in inside if len({rows[r][1].target for r in c}) > 1]
    found = [
        Finding(
            "near_duplicate", "warning" if count > MANY * len(subject.train) else "note",
            f"{count} rows of train say nearly the same as another, in {len(inside)} cluster(s) of "
            f"up to {len(inside[0])}; each stays on one side of every split.",
            "Many variations of few sentences are worth less than their count; write different "
            "ones.",
            tuple(rows[r][1].origin for c in inside for r in c),
            tuple(f"cluster {i}: {rows[r][1].prompt}" for i, c in enumerate(inside, 1) for r in c),
        )
    ]  # fmt: skip
    if mixed and subject.answer == "label":
        found.append(
            Finding(
                "near_contradiction", "note",
                f"{len(mixed)} of these clusters have rows of different labels "
                f"({shown([_labels(rows, c) for c in mixed], '; ')}).",
                "Look whether the difference is in the words, or in who labelled.",
                tuple(rows[r][1].origin for c in mixed for r in c),
                tuple(f"{rows[r][1].target}: {rows[r][1].prompt}" for c in mixed for r in c),
            )
        )  # fmt: skip
    return found


def _labels(rows: list[tuple[str, Example, str]], cluster: list[int]) -> str:
    counts = Counter(rows[row][1].target for row in cluster)
    return " / ".join(label for label, _ in counts.most_common(3))


def _across(
    subject: Subject, rows: list[tuple[str, Example, str]], several: list[list[int]]
) -> list[Finding]:
    found = []
    for other in subject.sides[1:]:
        pairs: list[tuple[Example, Example]] = []
        for cluster in several:
            learned = [r for r in cluster if rows[r][0] == subject.train.name]
            exact = {rows[r][2] for r in learned}
            pairs += [
                (rows[r][1], rows[learned[0]][1])
                for r in cluster
                if learned and rows[r][0] == other.name and rows[r][2] not in exact
            ]
        if pairs:
            origins = tuple(mine.origin for mine, _ in pairs)
            found.append(
                Finding(
                    "near_leak", "warning",
                    f"{len(pairs)} of {len(other)} {other.name} rows say nearly the same as one of "
                    f"train ({shown(origins)}): the score is somewhat too good.",
                    "Write test rows apart from train rows: other words, other situations.",
                    origins,
                    tuple(f"{m.prompt} ~ {t.origin}: {t.prompt}" for m, t in pairs),
                )
            )  # fmt: skip
    return found
