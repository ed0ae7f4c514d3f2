"""What entities may be written: types of training rows, and names that stand in the row's text."""

import json
from collections.abc import Callable, Sequence

from fucina.models.tags import word_bounds
from fucina.records import Example, Grammar
from fucina.tasks import Grammars

__all__ = ["in_json", "in_words"]


def _held(
    none: str, some: tuple[str, str, str], entry: str, escape: Callable[[str], str]
) -> Grammars:
    """Answers with the types of training rows, as many as one has at most; a name is in the text.

    A name is one or more whole words of the row. All is one terminal: only so may a name end where
    the text goes on like what follows it. (A rule for each word could keep names in their order
    too, but a chain of rules as long as a text overflows the stack of the library.)

    Args:
        none: The answer without any, in Lark.
        some: Before the first ENTRY, between two, and behind the last, in Lark.
        entry: Of TYPE and NAME, in Lark.
        escape: How a piece of text stands in an answer.
    """

    def make(train: Sequence[Example], rows: Sequence[Example]) -> list[Grammar]:
        types = sorted({escape(span.label) for row in train for span in row.spans})
        most = max((len(row.spans) for row in train), default=0)
        more = f"({some[1]} ENTRY){{0,{most - 1}}}" if most > 1 else ""  # Lark knows no {0,0}
        head = (
            "start: ALL",
            f"ALL: {none} | {some[0]} ENTRY {more} {some[2]}",
            f"ENTRY: {entry}",
            f"TYPE: {' | '.join(map(_quoted, types))}",
            r"NAME: WORDS & /(?s:\S(.*\S)?)/",
        )
        grammars = []
        for row in rows:
            pieces = _quoted({"substring_chunks": [escape(piece) for piece in _pieces(row.prompt)]})
            held = bool(types and row.prompt.strip())
            lines = (*head, f"WORDS: %regex {pieces}") if held else (f"start: {none}",)
            grammars.append(Grammar("lark", "\n".join(lines)))
        return grammars

    return make


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _pieces(text: str) -> list[str]:
    """The words of a text, and what stands between them."""
    pieces, end = [], 0
    for begin, stop in word_bounds(text):
        pieces += [text[end:begin]] * (begin > end) + [text[begin:stop]]
        end = stop
    return pieces


# `PER: Anna; LOC: Bari`
in_words = _held('"-"', ("", '"; "', ""), 'TYPE ": " NAME', str)
# `[{"PER": "Anna"}]`, with the blanks that Python writes
in_json = _held(
    '"[]"', ('"["', '", "', '"]"'), r'"{\"" TYPE "\": \"" NAME "\"}"',
    lambda piece: _quoted(piece)[1:-1],
)  # fmt: skip
