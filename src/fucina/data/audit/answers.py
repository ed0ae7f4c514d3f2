"""Answers that are none: empty, unfilled, refused, one for everything, the question again."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from fucina.data.audit.duplicates import same_text
from fucina.data.audit.phrases import MACHINE, NO_VALUE, NOTHING, REFUSAL, SLOTS, UNDONE
from fucina.data.audit.subject import Answer, Subject, answers, brief, conversation, prose, shown
from fucina.metrics import sentences, words
from fucina.records import Example, Finding

__all__ = ["check", "empty"]

FORMAT = 0.1  # of the answers: what so many are, word for word, is an answer and no placeholder
REPEATED = 5  # different questions with one answer; fewer is chance
REPEATED_SHARE = 0.005
WORTH_SAYING = 0.03  # of the answers; below, such as of thanks, it is a note
REPEATED_WORDS = 5  # shorter answers are names, numbers and thanks
FORMULA = 0.1  # of the answers that begin or end with one sentence
FORMULA_WORDS = 4
BEGINNING = 300  # characters in which a refusal is said


def check(subject: Subject) -> list[Finding]:
    """Look at every turn of the assistant, in all files; what is empty is another check's."""
    found = []
    for rows in subject.sides:
        said = [answer for answer in answers(rows) if answer.text.strip()]
        found += _unfilled(rows.name, said)
        found += _phrases(rows.name, said)
        found += _echoes(rows.name, said)
    said = [answer for answer in answers(subject.train) if answer.text.strip()]
    return [*found, *_same(said), *_formulas(said)]


def empty(subject: Subject) -> list[Finding]:
    """Find rows whose question, or any answer, says nothing: no training can begin with them."""
    found = []
    for rows in subject.sides:
        hits = {e.origin: why for e in rows.examples if (why := _lacks(e))}
        if hits:
            found.append(
                Finding(
                    "empty_answer", "error",
                    f"{len(hits):,} of {len(rows):,} {rows.name} rows lack an answer or a question "
                    f"({shown(list(hits))}).",
                    "Fill them in or delete these rows; --fix FOLDER leaves them out.",
                    tuple(hits), tuple(hits.values()), dict.fromkeys(hits),
                )
            )  # fmt: skip
    return found


def _lacks(example: Example) -> str:
    said = conversation(example)
    if not any(turn.role in {"user", "tool"} and turn.content.strip() for turn in said):
        return f"no question: {brief(example.target)}"
    for number, turn in enumerate(said, 1):
        if turn.role == "assistant" and not turn.content.strip() and not turn.tool_calls:
            return f"turn {number} (assistant) says nothing: {brief(example.prompt)}"
    return ""


def _finding(
    check: str,
    message: str,
    fix: str,
    hits: Sequence[tuple[Answer, str]],
    severity: Literal["warning", "note"] = "warning",
) -> Finding:
    """A finding about answers; `message` gets how many they are, and their rows."""
    origins = tuple(answer.origin for answer, _ in hits)
    return Finding(
        check, severity, message.format(count=f"{len(hits):,}", rows=shown(origins)), fix,
        origins, tuple(f"{a.where}{what}" for a, what in hits),
    )  # fmt: skip


def _unfilled(name: str, said: Sequence[Answer]) -> list[Finding]:
    common = Counter(answer.text.strip() for answer in said)
    hits = []
    for answer in said:
        text = answer.text.strip()
        if NOTHING.fullmatch(text) or text in NO_VALUE:
            # Where one in ten says "None", or an emoji, that is what it means to say.
            if common[text] <= FORMAT * len(said) and not _picture(text):
                hits.append((answer, f"only {brief(text)!r}"))
        elif slots := _slots(_without_code(text)):
            told = ", ".join(dict.fromkeys(slots))
            hits.append((answer, f"{told} in: {_around(text, slots[0])}"))
    if not hits:
        return []
    return [
        _finding(
            "placeholder",
            f"{{count}} of {len(said):,} answers of {name} hold a placeholder ({{rows}}).",
            "Fill them in: the model will write them as they stand.", hits,
        )
    ]  # fmt: skip


def _slots(text: str) -> list[str]:
    return SLOTS.findall(text) + (UNDONE.findall(text) if prose(text) else [])


def _picture(text: str) -> bool:
    return any(ord(letter) > 0x2100 for letter in text)


def _without_code(text: str) -> str:
    return re.sub(r"```.*?(?:```|$)|`[^`\n]*`", " ", text, flags=re.DOTALL)


def _around(text: str, part: str) -> str:
    place = max(text.find(part) - 20, 0)
    return brief(text[place : place + 60])


def _phrases(name: str, said: Sequence[Answer]) -> list[Finding]:
    found = []
    for check, pattern, reach, what, fix in (
        ("machine_talk", MACHINE, None, "talk as a machine about itself",
         "Write them again in the voice that you want, or leave them out."),
        ("refusal", REFUSAL, BEGINNING, "refuse to answer",
         "Keep them where a refusal is right; else the model learns to refuse."),
    ):  # fmt: skip
        hits = [
            (answer, f"{hit.group()!r} in: {_around(answer.text, hit.group())}")
            for answer in said
            if (hit := pattern.search(answer.text[:reach].replace("’", "'")))
        ]
        if hits:
            message = f"{{count}} of {len(said):,} answers of {name} {what} ({{rows}})."
            found.append(_finding(check, message, fix, hits))
    return found


def _echoes(name: str, said: Sequence[Answer]) -> list[Finding]:
    hits = [
        (answer, brief(answer.text))
        for answer in said
        if len(answer.text.split()) >= 3 and same_text(answer.text) == same_text(answer.question)
    ]
    if not hits:
        return []
    return [
        _finding(
            "echo", f"{{count}} of {len(said):,} answers of {name} are their question again "
            "({rows}).", "Answer them, or leave them out.", hits,
        )
    ]  # fmt: skip


def _same(said: Sequence[Answer]) -> list[Finding]:
    """One answer, word for word, to many different questions."""
    asked: dict[str, dict[str, Answer]] = {}
    for answer in said:
        asked.setdefault(same_text(answer.text), {}).setdefault(same_text(answer.question), answer)
    least = max(REPEATED, REPEATED_SHARE * len(said))
    many = [
        list(own.values())
        for text, own in asked.items()
        if len(own) >= least and len(words(text)) >= REPEATED_WORDS
    ]
    many.sort(key=len, reverse=True)
    if not many:
        return []
    most = many[0]
    hits = [(a, f"{len(own)} questions: {brief(a.text)}") for own in many for a in own]
    told = f"the commonest {len(most):,} times: {brief(most[0].text)!r}"
    return [
        _finding(
            "boilerplate",
            f"{{count}} of {len(said):,} answers are {len(many)} text(s) given to many different "
            f"questions, {told.replace('{', '{{').replace('}', '}}')} ({{rows}}).",
            "Keep a few of each; many teach the model to say this to anything.", hits,
            "warning" if len(hits) >= WORTH_SAYING * len(said) else "note",
        )
    ]  # fmt: skip


def _formulas(said: Sequence[Answer]) -> list[Finding]:
    """One sentence that begins, or ends, a large share of the answers."""
    distinct = {same_text(answer.text): answer for answer in said}
    found = []
    for place, which in (("begin", 0), ("end", -1)):
        counts: dict[str, list[Answer]] = {}
        for answer in distinct.values():
            parts = sentences(answer.text)
            if len(parts) > 1 and len(words(parts[which])) >= FORMULA_WORDS:
                counts.setdefault(parts[which], []).append(answer)
        for sentence, own in counts.items():
            if len(own) >= max(REPEATED, FORMULA * len(said)):
                found.append(
                    Finding(
                        "formula", "note",
                        f"{len(own):,} of {len(said):,} answers {place} with {brief(sentence)!r}.",
                        "Leave it out of most of them, unless it shall be said every time.",
                        tuple(a.origin for a in own),
                        tuple(f"{a.where}{brief(a.text)}" for a in own),
                    )
                )  # fmt: skip
    return found
