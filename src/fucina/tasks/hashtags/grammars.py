"""What hashtags may be written: words after #, or only those that training rows have."""

import json
from collections.abc import Sequence

from fucina.records import Example, Grammar
from fucina.tasks.hashtags.scores import read_tags

__all__ = ["any_tags", "known_tags"]


def any_tags(train: Sequence[Example], rows: Sequence[Example]) -> list[Grammar]:
    r"""Words after #, with a space between them, as many as a training row has at most.

    Example:
        >>> any_tags([Example("Oggi si inforna.", "#pane #forno")], [Example("Vento!", "")])[0].text
        '#\\w+( #\\w+){0,1}'
    """
    return [Grammar("regex", _repeated(r"#\w+", r" #\w+", train))] * len(rows)


def known_tags(train: Sequence[Example], rows: Sequence[Example]) -> list[Grammar]:
    """The same of tags that some training row has.

    Example:
        >>> found = known_tags([Example("Si inforna.", "#pane #forno")], [Example("Vento!", "")])
        >>> print(found[0].text)
        start: TAG (" " TAG){0,1}
        TAG: "#forno" | "#pane"
    """
    tags = sorted({tag for row in train for tag in read_tags(row.target)})
    choice = " | ".join(json.dumps(tag, ensure_ascii=False) for tag in tags)
    start = _repeated("TAG ", '" " TAG', train)
    return [Grammar("lark", f"start: {start}\nTAG: {choice}")] * len(rows)


def _repeated(first: str, more: str, train: Sequence[Example]) -> str:
    """From one tag to as many as training has; none where it has a row without any."""
    counts = [len(read_tags(row.target)) for row in train]
    most = max(1, *counts)
    some = f"{first}({more}){{0,{most - 1}}}" if most > 1 else first  # Lark knows no {0,0}
    return some if all(counts) else f"({some})?"
