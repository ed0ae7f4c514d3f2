"""The checks that only queries have: those that fail, those that find nothing, two for one."""

from collections.abc import Callable

from fucina.records import Dataset, Finding
from fucina.tasks.text_to_sql.sandbox import run_query
from fucina.tasks.text_to_sql.scores import database_of, require_parser
from fucina.tasks.text_to_sql.settings import TextToSqlConfig

__all__ = ["checks"]

SHOWN = 5


def checks(config: TextToSqlConfig) -> tuple[Callable[[Dataset], list[Finding]], ...]:
    """The checks, with the limits of a recipe."""

    def run_all(rows: Dataset) -> list[Finding]:
        return _results(rows, config)

    return run_all, _two_answers


def _results(rows: Dataset, config: TextToSqlConfig) -> list[Finding]:
    fails, empty, unasked = {}, {}, {}
    for row in rows.examples:
        if "database" not in row.facts:
            unasked[row.origin] = row.prompt
            continue
        if not row.target.strip():
            continue  # another check says so
        result = run_query(database_of(row), row.target, config)
        if result.problem:
            fails[row.origin] = f"{result.told}: {row.target}"
        elif not result.rows:
            empty[row.origin] = row.target
    found = []
    if fails:
        first = next(iter(fails.values()))
        found.append(
            Finding(
                "query_fails", "error",
                f"{len(fails)} of {len(rows)} queries of {rows.name} do not run "
                f"({_named(fails)}); the first: {first[:160]}.",
                "Mend or delete these rows; --fix FOLDER leaves them out. A slow or long one may "
                "need a higher limit in text_to_sql.",
                tuple(fails), tuple(fails.values()), dict.fromkeys(fails),
            )
        )  # fmt: skip
    if empty:
        found.append(
            Finding(
                "empty_result", "warning",
                f"{len(empty)} of {len(rows)} queries of {rows.name} give no rows "
                f"({_named(empty)}): any wrong query that gives none counts as right.",
                "Look whether they are right; if so, ask what the database knows.",
                tuple(empty), tuple(empty.values()),
            )
        )  # fmt: skip
    if unasked:
        found.append(
            Finding(
                "no_database", "warning",
                f"{len(unasked)} of {len(rows)} rows of {rows.name} have a schema but no database "
                f"({_named(unasked)}): their answers are never run, only compared.",
                "Give a database as well, if there is one.",
                tuple(unasked), tuple(unasked.values()),
            )
        )  # fmt: skip
    return found


def _two_answers(rows: Dataset) -> list[Finding]:
    """One question about one database, with queries that are not the same."""
    require_parser()
    from fucina.tasks.text_to_sql.normal_form import normal_form

    first: dict[tuple, tuple[str, str]] = {}
    twice = {}
    for row in rows.examples:
        key = (" ".join(row.prompt.casefold().split()), *sorted(row.facts.items()))
        origin, query = first.setdefault(key, (row.origin, row.target))
        schema = database_of(row).schema
        if origin != row.origin and normal_form(query, schema) != normal_form(row.target, schema):
            twice[row.origin] = f"{origin}: {query} / {row.target}"
    if not twice:
        return []
    return [
        Finding(
            "two_queries", "warning",
            f"{len(twice)} questions of {rows.name} are asked twice with another query "
            f"({_named(twice)}).",
            "Keep one query, or say in the question what tells them apart.",
            tuple(twice), tuple(twice.values()),
        )
    ]  # fmt: skip


def _named(rows: dict[str, str]) -> str:
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return ", ".join(list(rows)[:SHOWN]) + more
