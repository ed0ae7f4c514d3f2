"""Answers that are none: empty, unfilled, refused, one for everything, the question again."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Literal

from fucina.data.audit.duplicates import same_text
from fucina.data.audit.phrases import MACHINE, NO_VALUE, NOTHING, REFUSAL, SLOTS, UNDONE
from fucina.data.audit.subject import Answer, Subject, answers, brief, conversation, prose, shown
from fucina.metrics import sentences, words
from fucina.records import Example, Finding

__all__ = ["REPEATED", "WORTH_SAYING", "check", "empty", "faults", "telling", "usual"]

FORMAT = 0.1  # of the answers: what so many are, word for word, is an answer and no placeholder
REPEATED = 5  # different questions with one answer; fewer is chance
REPEATED_SHARE = 0.005
WORTH_SAYING = 0.03  # of the answers; below, such as of thanks, it is a note
REPEATED_WORDS = 5  # shorter answers are names, numbers and thanks
FORMULA = 0.1  # of the answers that begin or end with one sentence
FORMULA_WORDS = 4
BEGINNING = 300  # characters in which a refusal is said
# What makes one answer none, and what to do about it.
FAULTS = {
    "placeholder": (
        "hold a placeholder",
        "Fill them in: the model will write them as they stand.",
    ),
    "machine_talk": (
        "talk as a machine about itself",
        "Write them again in the voice that you want, or leave them out.",
    ),
    "refusal": (
        "refuse to answer",
        "Keep them where a refusal is right; else the model learns to refuse.",
    ),
    "echo": ("are their question again", "Answer them, or leave them out."),
}


def check(subject: Subject) -> list[Finding]:
    """Look at every turn of the assistant, in all files; what is empty is another check's."""
    found = []
    for rows in subject.sides:
        said = [answer for answer in answers(rows) if answer.text.strip()]
        found += _faulty(rows.name, said)
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


def _faulty(name: str, said: Sequence[Answer]) -> list[Finding]:
    """What is wrong with single answers, one finding a kind."""
    kept = usual(said)
    hits: dict[str, list[tuple[Answer, str]]] = {check: [] for check in FAULTS}
    for answer in said:
        for check, seen in faults(answer, kept).items():
            hits[check].append((answer, seen))
    return [
        _finding(
            check, f"{{count}} of {len(said):,} answers of {name} {what} ({{rows}}).", fix,
            hits[check],
        )
        for check, (what, fix) in FAULTS.items()
        if hits[check]
    ]  # fmt: skip


def usual(said: Sequence[Answer]) -> set[str]:
    """Texts that one answer in ten is: where so many say "None", or an emoji, they mean it."""
    common = Counter(answer.text.strip() for answer in said)
    return {text for text, count in common.items() if count > FORMAT * len(said)}


def telling(text: str) -> bool:
    """Whether a text is enough prose that nobody writes it twice by chance."""
    return len(words(text)) >= REPEATED_WORDS and prose(text)


def faults(answer: Answer, usual: Collection[str] = ()) -> dict[str, str]:
    """What makes one answer none: kind to what was seen.

    Args:
        answer: With the question before it.
        usual: Texts that are answers, whatever they look like.

    Example:
        >>> faults(Answer("a:1", "", "Chi sei?", "As an AI, I have no name."))
        {'machine_talk': "'As an AI, I' in: As an AI, I have no name."}
    """
    text, found = answer.text.strip(), {}
    if NOTHING.fullmatch(text) or text in NO_VALUE:
        if text not in usual and not _picture(text):
            found["placeholder"] = f"only {brief(text)!r}"
    elif slots := _slots(_without_code(text)):
        told = ", ".join(dict.fromkeys(slots))
        found["placeholder"] = f"{told} in: {_around(text, slots[0])}"
    for check, pattern, reach in (("machine_talk", MACHINE, None), ("refusal", REFUSAL, BEGINNING)):
        if hit := pattern.search(answer.text[:reach].replace("’", "'")):
            found[check] = f"{hit.group()!r} in: {_around(answer.text, hit.group())}"
    if len(text.split()) >= 3 and same_text(text) == same_text(answer.question):
        found["echo"] = brief(text)
    return found


def _slots(text: str) -> list[str]:
    return SLOTS.findall(text) + (UNDONE.findall(text) if prose(text) else [])


def _picture(text: str) -> bool:
    return any(ord(letter) > 0x2100 for letter in text)


def _without_code(text: str) -> str:
    return re.sub(r"```.*?(?:```|$)|`[^`\n]*`", " ", text, flags=re.DOTALL)


def _around(text: str, part: str) -> str:
    place = max(text.find(part) - 20, 0)
    return brief(text[place : place + 60])


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
