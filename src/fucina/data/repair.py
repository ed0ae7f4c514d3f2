"""Apply what an audit can mend without a person: a new data set, and a list of what was done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fucina.records import Dataset, Example, Finding, Message, Repair

__all__ = ["repair"]

New = str | tuple[Message, ...] | Mapping[str, Any]
Read = Callable[[Mapping[str, Any]], Example]


def repair(
    rows: Dataset, findings: Sequence[Finding], read: Read | None = None
) -> tuple[Dataset, list[Repair]]:
    """Drop and rewrite rows as the findings propose; rows without a proposal stay as they are.

    Args:
        rows: One file.
        findings: Of an audit; where several propose something for a row, dropping wins.
        read: Makes an example of the mended columns of a row; None leaves what they say as it was.

    Example:
        >>> from fucina.records import Example
        >>> rows = Dataset("a", (Example("x", "l", origin="a:1"), Example("X", "l", origin="a:2")))
        >>> finding = Finding("duplicate", "warning", "twice", repairs={"a:2": None})
        >>> kept, done = repair(rows, [finding])
        >>> kept.prompts, done[0].action, done[0].row
        (['x'], 'dropped', 'a:2')
    """
    proposed: dict[str, tuple[str, New | None]] = {}
    for finding in findings:
        for origin, new in finding.repairs.items():
            if origin not in proposed or new is None:
                proposed[origin] = (finding.check, new)
    kept, done = [], []
    for example in rows.examples:
        why, new = proposed.get(example.origin, ("", example.prompt))
        if not why:
            kept.append(example)
        elif new is None:
            done.append(Repair(example.origin, "dropped", why, _text(example)))
        else:
            mended = _mended(example, new, read)
            kept.append(mended)
            before = _text(example, example.fields if isinstance(new, Mapping) else "")
            done.append(Repair(example.origin, "rewritten", why, before, _text(mended, new)))
    return replace(rows, examples=tuple(kept)), done


def _mended(example: Example, new: New, read: Read | None) -> Example:
    if isinstance(new, str):
        return replace(example, prompt=new)
    if isinstance(new, Mapping):
        # Its file stands elsewhere than this program, so its paths are given whole.
        fresh = read({**new, **example.paths}) if read else example
        return replace(
            fresh, origin=example.origin, group=example.group, fields=new, paths=example.paths
        )
    spoken = Example.of_conversation(new, tools=example.tools, group=example.group)
    fields = {"messages": new, "tools": example.tools}
    return replace(
        spoken, origin=example.origin, left_out=example.left_out, fields=fields,
        facts=example.facts,
    )  # fmt: skip


def _text(example: Example, new: New = "") -> str:
    """A row for the report: the prompt, all new columns, or all turns of a conversation."""
    if isinstance(new, Mapping):
        return "\n".join(f"{name}: {value}" for name, value in new.items())
    if not example.messages:
        return example.prompt
    return "\n".join(f"{turn.role}: {turn.content}" for turn in example.messages)
