"""What a report shows beside an answer: its result and the true one, as small tables."""

from collections.abc import Mapping

from fucina.records import Example
from fucina.tasks.text_to_sql.sandbox import Result
from fucina.tasks.text_to_sql.scores import judge_row
from fucina.tasks.text_to_sql.settings import TextToSqlConfig

__all__ = ["evidence", "written_table"]

ROWS, COLUMNS, CELL = 5, 6, 24  # shown


def evidence(answer: str, row: Example, config: TextToSqlConfig) -> Mapping[str, str]:
    """Level, mistake and both results of one answer."""
    judged = judge_row(answer, row, config)
    found = {"level": judged.level, "mistake": judged.mistake}
    if judged.right is None:
        return found
    return found | {
        "true result": written_table(judged.true),
        "result": written_table(judged.said),
    }


def written_table(result: Result) -> str:
    """The first rows of a result in columns of letters, or what went wrong.

    Example:
        >>> print(written_table(Result(("nome", "anni"), (("Ada", 36), ("Ivo", None)))))
        nome | anni
        Ada  | 36
        Ivo  | NULL
        >>> written_table(Result(problem="too slow", message="interrupted"))
        'too slow: interrupted'
    """
    if result.problem:
        return result.told
    if not result.rows:
        return "no rows"
    rows = [result.columns, *result.rows[:ROWS]]
    cells = [[_cell(value) for value in row[:COLUMNS]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    more = len(result.rows) - ROWS
    lines += [f"… and {more:,} more rows"] if more > 0 else []
    lines += [f"… and {len(result.columns) - COLUMNS} more columns"][
        : len(result.columns) > COLUMNS
    ]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    text = f"<{len(value)} bytes>" if isinstance(value, bytes) else " ".join(str(value).split())
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"
