"""Letters broken by a wrong encoding on the way, such as `perchÃ©` for `perché`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fucina.data.audit.subject import Subject, conversation, shown, turns
from fucina.errors import MissingExtraError
from fucina.records import Example, Finding, Message

__all__ = ["LOST", "check", "mend"]

Repaired = str | tuple[Message, ...] | Mapping[str, Any]

LOST = "\ufffd"  # stands where a byte could not be read; what it was is gone


def check(subject: Subject) -> list[Finding]:
    """Look in all files, and in every turn of a conversation; what can be mended is."""
    found = []
    for rows in subject.sides:
        mended: dict[str, tuple[str, Repaired]] = {}
        lost: dict[str, str] = {}
        for example in rows.examples:
            for turn in turns(example, subject.answer):
                where = f"{turn.where}: " if turn.where else ""
                if LOST in turn.text:
                    lost[example.origin] = f"{where}{turn.text}"
                elif (better := mend(turn.text)) != turn.text:
                    told = f"{where}{turn.text} → {better}"
                    new = better if subject.answer == "label" else _repaired(example)
                    mended[example.origin] = (told, new)
        if mended:
            found.append(
                Finding(
                    "encoding", "warning",
                    f"{len(mended)} {rows.name} row(s) have letters broken by a wrong encoding "
                    f"({shown(list(mended))}).",
                    "Read the source in its own encoding (data.encoding), or let --fix mend them.",
                    tuple(mended), tuple(told for told, _ in mended.values()),
                    # In a text of other length its spans would stand elsewhere.
                    {o: new for o, (_, new) in mended.items() if subject.answer != "spans"},
                )
            )  # fmt: skip
        if lost:
            found.append(
                Finding(
                    "lost_letters", "warning",
                    f"{len(lost)} {rows.name} row(s) hold the sign for a lost letter "
                    f"({shown(list(lost))}).",
                    "Export these rows again, as UTF-8.",
                    tuple(lost), tuple(lost.values()),
                )
            )  # fmt: skip
    return found


def _repaired(example: Example) -> Repaired:
    """All turns of a conversation, each mended, or all columns of a row."""
    if example.fields and "messages" not in example.fields:
        return _mended(example.fields)
    return tuple(
        replace(
            turn,
            content=_mended(turn.content),
            tool_calls=tuple(_mended(call) for call in turn.tool_calls),
        )
        for turn in conversation(example)
    )


def _mended(value: Any) -> Any:
    """A text, or every text in the arguments of a call; what has lost letters stays as it is."""
    if isinstance(value, str):
        return value if LOST in value else mend(value)
    if isinstance(value, Mapping):
        return {key: _mended(inner) for key, inner in value.items()}
    return [_mended(inner) for inner in value] if isinstance(value, list) else value


def mend(text: str) -> str:
    """The text with the letters it had before a wrong encoding; itself where nothing is wrong.

    Raises:
        MissingExtraError: ftfy is not installed.

    Example:
        >>> mend("perchÃ© no"), mend("perché no")
        ('perché no', 'perché no')
    """
    try:
        from ftfy import fix_encoding
        from ftfy.badness import is_bad
    except ImportError as error:
        raise MissingExtraError("ftfy", extra="audit") from error
    return fix_encoding(text) if is_bad(text) else text
