"""Judge queries: what they give, how they are written, how hard they are, what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fucina.errors import DataError, MissingExtraError
from fucina.metrics import mean_of
from fucina.records import Example, Ratio
from fucina.tasks.text_to_sql.database import Database, open_database, open_schema
from fucina.tasks.text_to_sql.reading import read_sql
from fucina.tasks.text_to_sql.results import equal_results
from fucina.tasks.text_to_sql.sandbox import Result, run_query
from fucina.tasks.text_to_sql.settings import TextToSqlConfig

__all__ = ["Judged", "database_of", "is_ordered", "judge_row", "require_parser", "scores", "slices"]

SHOWN_SQL = 80  # characters of a query in a message


@dataclass(frozen=True)
class Judged:
    """One answer beside the true query.

    Attributes:
        sql: The query that was read out of the answer.
        true: What the true query gives.
        said: What the answered one gives.
        right: Both give the same; None where there is no database to ask.
        same_query: They are one query, differently written at most.
        same_parts: Spider's exact set match.
        level: How hard the true query is; `unknown` where it cannot be parsed.
        mistake: What is wrong with the answer, or `right`.
    """

    sql: str
    true: Result
    said: Result
    right: bool | None
    same_query: bool
    same_parts: bool
    level: str
    mistake: str


def scores(
    answers: Sequence[str], rows: Sequence[Example], config: TextToSqlConfig
) -> Mapping[str, Ratio]:
    """Four scores of n answers.

    `execution`: the result is that of the true query; rows without a database do not count.
    `query_match`: it is the same query with the same values, see `normal_form`.
    `component_match`: Spider's exact set match, without values.
    `runs`: SQLite runs it within the limits; rows without a database do not count.

    Args:
        answers: n texts as a model wrote them.
        rows: The n rows.
        config: Limits of a query.

    Raises:
        DataError: A database cannot be opened, or a true query does not run.
        MissingExtraError: sqlglot is not installed.

    Example:
        >>> facts = {"schema": "CREATE TABLE soci (id, nome)"}
        >>> row = Example("Chi?", "SELECT nome FROM soci", facts=facts)
        >>> found = scores(["select s.nome from soci s;"], [row], TextToSqlConfig())
        >>> {name: int(ratio.gained.sum()) for name, ratio in found.items()}
        {'execution': 0, 'query_match': 1, 'component_match': 1, 'runs': 0}
    """
    judged = [judge_row(answer, row, config) for answer, row in zip(answers, rows, strict=True)]
    asked = np.array([each.right is not None for each in judged], dtype=float)
    return {
        "execution": Ratio(np.array([each.right is True for each in judged], dtype=float), asked),
        "query_match": mean_of([each.same_query for each in judged]),
        "component_match": mean_of([each.same_parts for each in judged]),
        "runs": Ratio(asked * [not each.said.problem for each in judged], asked),
    }


def slices(
    answers: Sequence[str], rows: Sequence[Example], config: TextToSqlConfig
) -> Mapping[str, Sequence[str]]:
    """How hard each question is, and what is wrong with its answer."""
    judged = [judge_row(answer, row, config) for answer, row in zip(answers, rows, strict=True)]
    return {
        "level": [each.level for each in judged],
        "mistake": [each.mistake for each in judged],
    }


def judge_row(answer: str, row: Example, config: TextToSqlConfig) -> Judged:
    """Run and compare one answer.

    Args:
        answer: As a model wrote it.
        row: With the true query, and its database or schema in `facts`.
        config: Limits of a query.

    Raises:
        DataError: The database cannot be opened, or the true query does not run.
        MissingExtraError: sqlglot is not installed.
    """
    require_parser()
    from fucina.tasks.text_to_sql.components import parts_of
    from fucina.tasks.text_to_sql.mistakes import RIGHT, UNKNOWN, mistake
    from fucina.tasks.text_to_sql.normal_form import normal_form
    from fucina.tasks.text_to_sql.spider import level, matches_parts

    database, sql, gold = database_of(row), read_sql(answer), row.target
    schema = database.schema
    parts, true_parts = parts_of(sql, schema), parts_of(gold, schema)
    form = normal_form(sql, schema)
    same_parts = true_parts is not None and matches_parts(parts, true_parts, schema)
    hard = "unknown" if true_parts is None else level(true_parts)
    same_query = form is not None and form == normal_form(gold, schema)
    if "database" not in row.facts:
        wrong = RIGHT if same_query else UNKNOWN
        return Judged(sql, Result(), Result(), None, same_query, same_parts, hard, wrong)
    true, said = run_query(database, gold, config), run_query(database, sql, config)
    if true.problem:
        raise DataError(
            f"{row.origin or 'a row'}: the true query does not run: {true.told} "
            f"({gold[:SHOWN_SQL]}).",
            fix="Mend or delete the row, or raise the limits of text_to_sql.",
        )
    right = not said.problem and equal_results(true.rows, said.rows, ordered=is_ordered(gold))
    wrong = RIGHT if right else mistake(sql, said, parts, true_parts, true)
    return Judged(sql, true, said, right, same_query and not said.problem, same_parts, hard, wrong)


def database_of(row: Example) -> Database:
    """The database of a row, or one without rows made of its schema."""
    if "database" in row.facts:
        return open_database(row.facts["database"])
    if "schema" in row.facts:
        return open_schema(row.facts["schema"])
    raise DataError(
        f"{row.origin or 'a question'} has neither a database nor a schema.",
        fix="Give the path of a SQLite file or .sql script as database.",
    )


def is_ordered(sql: str) -> bool:
    """Whether a query asks for an order of its rows; one within a subquery does not count.

    Example:
        >>> is_ordered("SELECT a FROM b ORDER BY a")
        True
        >>> is_ordered("SELECT a FROM b WHERE a = (SELECT a FROM b ORDER BY a LIMIT 1)")
        False
    """
    from fucina.tasks.text_to_sql.scopes import parse

    tree = parse(sql)
    return "order by" in sql.lower() if tree is None else tree.args.get("order") is not None


def require_parser() -> None:
    """Stop where the parser of SQL is not installed.

    Raises:
        MissingExtraError: It is not.
    """
    try:
        import sqlglot  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("sqlglot", extra="sql") from error
