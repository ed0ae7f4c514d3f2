"""Spider's levels and exact set match, on cases of our own and on its development set."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from fucina.tasks.text_to_sql.components import parts_of
from fucina.tasks.text_to_sql.database import Schema
from fucina.tasks.text_to_sql.spider import level, matches_parts

SCHEMA = Schema(
    {"soci": ("id", "nome", "eta"), "prestiti": ("id", "id_socio", "giorni")},
    ((("prestiti", "id_socio"), ("soci", "id")),),
)
JOINED = "SELECT s.nome FROM soci AS s JOIN prestiti AS p ON p.id_socio = s.id"


def _match(answered, gold):
    return matches_parts(parts_of(answered, SCHEMA), parts_of(gold, SCHEMA), SCHEMA)


@pytest.mark.parametrize(
    ("answered", "gold"),
    [
        ("SELECT nome FROM soci WHERE eta > 3", "SELECT T1.nome FROM soci AS T1 WHERE T1.eta > 99"),
        ("SELECT DISTINCT nome FROM soci", "SELECT nome FROM soci"),
        ("SELECT eta, nome FROM soci", "SELECT nome, eta FROM soci"),
        (JOINED, JOINED.replace("p.id_socio = s.id", "s.id = p.id_socio")),
        # Columns of a foreign key are one column.
        (f"{JOINED} GROUP BY p.id_socio", f"{JOINED} GROUP BY s.id"),
        ("SELECT nome FROM soci ORDER BY eta LIMIT 3", "SELECT nome FROM soci ORDER BY eta LIMIT 1"),
        ("SELECT nome FROM soci WHERE eta = 1 AND id = 2",
         "SELECT nome FROM soci WHERE id = 5 AND eta = 6"),
    ],
)  # fmt: skip
def test_what_the_public_scorer_calls_equal_matches(answered, gold):
    assert _match(answered, gold)


@pytest.mark.parametrize(
    ("answered", "gold"),
    [
        ("SELECT nome FROM soci WHERE eta > 3", "SELECT nome FROM soci WHERE eta >= 3"),
        ("SELECT max(eta) FROM soci", "SELECT min(eta) FROM soci"),
        ("SELECT nome FROM soci", JOINED),
        ("SELECT nome FROM soci WHERE eta = 1 OR id = 2",
         "SELECT nome FROM soci WHERE eta = 1 AND id = 2"),
        ("SELECT nome FROM soci ORDER BY eta", "SELECT nome FROM soci ORDER BY eta DESC"),
        ("SELECT nome FROM soci ORDER BY eta LIMIT 1", "SELECT nome FROM soci ORDER BY eta"),
        ("SELECT nome FROM soci UNION SELECT eta FROM soci",
         "SELECT nome FROM soci EXCEPT SELECT eta FROM soci"),
        ("SELECT nome FROM soci GROUP BY eta HAVING count(*) > 1",
         "SELECT nome FROM soci GROUP BY eta"),
        # A column that is not there, though joins are not compared.
        (JOINED.replace("p.id_socio", "p.nome"), JOINED),
        ("non lo so", "SELECT nome FROM soci"),
    ],
)  # fmt: skip
def test_what_it_tells_apart_does_not_match(answered, gold):
    assert not _match(answered, gold)


@pytest.mark.parametrize(
    ("sql", "hard"),
    [
        ("SELECT count(*) FROM soci", "easy"),
        ("SELECT nome FROM soci WHERE eta > 3", "easy"),
        ("SELECT nome, eta FROM soci WHERE eta > 3", "medium"),
        (f"{JOINED} WHERE giorni > 3", "medium"),
        (f"{JOINED} WHERE giorni > 3 GROUP BY s.nome", "hard"),
        ("SELECT nome FROM soci WHERE eta > (SELECT avg(eta) FROM soci)", "hard"),
        ("SELECT nome FROM soci UNION SELECT nome FROM soci", "hard"),
        (f"{JOINED} WHERE giorni > 3 GROUP BY s.nome ORDER BY count(*) LIMIT 1", "extra"),
    ],
)
def test_levels_are_counts_of_clauses(sql, hard):
    assert level(parts_of(sql, SCHEMA)) == hard


def _spider():
    folders = [Path(os.environ.get("FUCINA_SPIDER", "")), *Path(__file__).parents]
    for folder in folders:
        for place in (folder, folder / "shared" / "data" / "sql_spider"):
            if (place / "dev.json").is_file():
                return place
    return None


@pytest.mark.skipif(_spider() is None, reason="Spider is not here")
def test_the_development_set_has_the_published_levels():
    """Yu et al., 2018: 248 easy, 446 medium, 174 hard and 166 extra hard questions."""
    counted = Counter()
    schemas = {}
    for entry in json.loads((_spider() / "tables.json").read_text(encoding="utf-8")):
        tables = [table.lower() for table in entry["table_names_original"]]
        columns = {table: [] for table in tables}
        for place, name in entry["column_names_original"]:
            if place >= 0:
                columns[tables[place]].append(name.lower())
        schemas[entry["db_id"]] = Schema({name: tuple(own) for name, own in columns.items()})
    for row in json.loads((_spider() / "dev.json").read_text(encoding="utf-8")):
        parts = parts_of(row["query"], schemas[row["db_id"]])
        counted[level(parts)] += 1
        assert matches_parts(parts, parts, schemas[row["db_id"]])
    assert counted == {"easy": 248, "medium": 446, "hard": 174, "extra": 166}
