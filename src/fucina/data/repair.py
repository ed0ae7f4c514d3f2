"""Apply what an audit can mend without a person: a new data set, and a list of what was done."""

from collections.abc import Sequence
from dataclasses import replace

from fucina.records import Dataset, Finding, Repair

__all__ = ["repair"]


def repair(rows: Dataset, findings: Sequence[Finding]) -> tuple[Dataset, list[Repair]]:
    """Drop and rewrite rows as the findings propose; rows without a proposal stay as they are.

    Args:
        rows: One file.
        findings: Of an audit; where several propose something for a row, dropping wins.

    Example:
        >>> from fucina.records import Example
        >>> rows = Dataset("a", (Example("x", "l", origin="a:1"), Example("X", "l", origin="a:2")))
        >>> finding = Finding("duplicate", "warning", "twice", repairs={"a:2": None})
        >>> kept, done = repair(rows, [finding])
        >>> kept.prompts, done[0].action, done[0].row
        (['x'], 'dropped', 'a:2')
    """
    proposed: dict[str, tuple[str, str | None]] = {}
    for finding in findings:
        for origin, text in finding.repairs.items():
            if origin not in proposed or text is None:
                proposed[origin] = (finding.check, text)
    kept, done = [], []
    for example in rows.examples:
        why, text = proposed.get(example.origin, ("", example.prompt))
        if not why:
            kept.append(example)
        elif text is None:
            done.append(Repair(example.origin, "dropped", why, example.prompt))
        else:
            kept.append(replace(example, prompt=text))
            done.append(Repair(example.origin, "rewritten", why, example.prompt, text))
    return Dataset(rows.name, tuple(kept), rows.columns), done
