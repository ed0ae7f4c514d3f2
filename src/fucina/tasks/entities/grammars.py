"""What entities may be written: types of training rows, and names that stand in the row's text."""

import json
from collections.abc import Callable, Sequence

from fucina.models.tags import word_bounds
from fucina.records import Example, Grammar
from fucina.tasks import Grammars

__all__ = ["in_json", "in_words"]


def _held(entry: str, some: str, none: str, escape: Callable[[str], str]) -> Grammars:
    """Entries with the types of training rows, as many as one has at most, or what says none.

    A name is a row of whole words of the text. All is one terminal, because only so may a name end
    where the text goes on like what follows it.

    Args:
        entry: Of TYPE and NAME, in Lark.
        some: Of ENTRY and MORE, in Lark.
        none: The answer without any, in Lark.
        escape: How a piece of text stands in an answer.
    """

    def make(train: Sequence[Example], rows: Sequence[Example]) -> list[Grammar]:
        types = sorted({escape(span.label) for row in train for span in row.spans})
        more = max((len(row.spans) for row in train), default=0) - 1
        grammars = []
        for row in rows:
            pieces = [escape(piece) for piece in _pieces(row.prompt)]
            if not pieces or not types:
                grammars.append(Grammar("lark", f"start: ALL\nALL: {none}"))
                continue
            lines = (
                "start: ALL",
                f"ALL: {none} | {some}".replace("MORE", f"{{0,{more}}}"),
                f"ENTRY: {entry}",
                f"TYPE: {' | '.join(map(_quoted, types))}",
                r"NAME: WORDS & /(?s:\S(.*\S)?)/",
                f"WORDS: %regex {_quoted({'substring_chunks': pieces})}",
            )
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


# `PER: Anna; LOC: Bari`, and `[{"PER": "Anna"}]` with the blanks that Python writes.
in_words = _held('TYPE ": " NAME', 'ENTRY ("; " ENTRY)MORE', '"-"', str)
in_json = _held(
    r'"{\"" TYPE "\": \"" NAME "\"}"', '"[" ENTRY (", " ENTRY)MORE "]"', '"[]"',
    lambda piece: _quoted(piece)[1:-1],
)  # fmt: skip
