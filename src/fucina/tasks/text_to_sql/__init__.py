"""Text-to-SQL: a question about a database becomes a query, which is run to be judged."""

from collections.abc import Mapping, Sequence
from typing import Any

from fucina.errors import DataError
from fucina.records import Example, Message, Ratio
from fucina.tasks import Choices, Judging, Paths, Task
from fucina.tasks.text_to_sql import baselines, checks, evidence, scores
from fucina.tasks.text_to_sql.database import open_database, open_schema
from fucina.tasks.text_to_sql.grammars import any_query, known_query
from fucina.tasks.text_to_sql.naming import find_database
from fucina.tasks.text_to_sql.prompt import shown_schema
from fucina.tasks.text_to_sql.reading import statements
from fucina.tasks.text_to_sql.settings import TextToSqlConfig

__all__ = ["TASK"]


def to_example(row: Mapping[str, Any], config: TextToSqlConfig) -> Example:
    """Read a question, its query and its database; what the model is shown of that comes first.

    Raises:
        DataError: There is no database, it cannot be opened, or there are two statements.
    """
    facts = {}
    if path := row.get("database", "").strip():
        facts["database"] = path
    if schema := row.get("schema", "").strip():
        facts["schema"] = schema
    if not facts:
        raise DataError(
            "which database? There is neither a database nor a schema.",
            fix="Give the path of a SQLite file or .sql script as database: a column of the rows, "
            "or predict … --field database=PATH.",
        )
    question, query = row["question"].strip(), row.get("sql", "").strip()
    given = statements(query)
    if len(given) > 1:
        raise DataError(
            f"{len(given)} statements where one query was expected: {query[:80]}.",
            fix="Give the query that answers the question alone.",
        )
    if "database" in facts:
        open_database(facts["database"])  # so that a bad one is named with its row
    shown = open_schema(schema) if schema else open_database(facts["database"])
    turns = (
        Message("system", shown_schema(shown, question, config)),
        Message("user", question),
        Message("assistant", given[0]),
    )
    return Example(question, given[0], row.get("group", ""), messages=turns, facts=facts)


def configured(config: TextToSqlConfig) -> Task:
    """The task as a recipe sets it."""

    def read(row: Mapping[str, Any]) -> Example:
        return to_example(row, config)

    def score(answers: Sequence[str], rows: Sequence[Example]) -> Mapping[str, Ratio]:
        return scores.scores(answers, rows, config)

    def divide(answers: Sequence[str], rows: Sequence[Example]) -> Mapping[str, Sequence[str]]:
        return scores.slices(answers, rows, config)

    def show(answer: str, row: Example) -> Mapping[str, str]:
        return evidence.evidence(answer, row, config)

    return Task(
        name="text_to_sql",
        summary="A question about a database becomes a query, which is run to be judged.",
        answer="text",
        columns={"question": "what is asked", "sql": "the query that answers it, for SQLite"},
        to_example=read,
        optional={
            "database": "path of a SQLite file or .sql script, relative to the data file, or "
            "Spider's name of one",
            "schema": "CREATE TABLE statements, shown in the place of the database's own",
        },
        paths=Paths({"database": find_database}),
        judging=Judging(
            headline="execution",
            scores=score,
            baselines={"nearest": baselines.nearest},
            slices=divide,
            evidence=show,
            checks=checks.checks(config),
        ),
        choices=Choices(configure=configured, grammars={"schema": known_query, "sql": any_query}),
    )


TASK = configured(TextToSqlConfig())
