"""Do levels, exact set match and execution agree with Spider's public scorer?

    python benchmarks/spider_scorer.py SCORER SPIDER

SCORER is a folder with the public scorer (process_sql.py, evaluation.py, exec_eval.py, parse.py of
test-suite-sql-eval; it needs nltk, sqlparse and what else it imports). SPIDER holds dev.json,
tables.json and the databases. Every gold query is answered by itself and by mutations of it: other
aliases, columns, tables, values, operators, aggregates, orders, and other golds of its database.
What the public parser cannot read it scores as wrong; those are counted apart. The last line is of
our own: queries that are the same by their normal form must give the same result.
"""

import importlib
import io
import json
import random
import re
import sys
from collections import Counter, defaultdict
from contextlib import redirect_stdout
from pathlib import Path

from fucina.tasks.text_to_sql.components import parts_of
from fucina.tasks.text_to_sql.database import Schema, open_database
from fucina.tasks.text_to_sql.normal_form import normal_form
from fucina.tasks.text_to_sql.results import equal_results
from fucina.tasks.text_to_sql.sandbox import run_query
from fucina.tasks.text_to_sql.scores import is_ordered
from fucina.tasks.text_to_sql.settings import TextToSqlConfig
from fucina.tasks.text_to_sql.spider import level, matches_parts

EACH = 12  # mutations of a gold query
WORD = re.compile(r"\"[^\"]*\"|'[^']*'|[\w.]+|<=|>=|!=|[^\s\w]")


def schema_of(entry):
    """Ours: tables, columns and foreign keys of an entry of tables.json."""
    tables = [table.lower() for table in entry["table_names_original"]]
    columns = {table: [] for table in tables}
    names = []
    for place, column in entry["column_names_original"]:
        names.append((tables[place], column.lower()) if place >= 0 else ("", "*"))
        if place >= 0:
            columns[tables[place]].append(column.lower())
    keys = tuple((names[mine], names[theirs]) for mine, theirs in entry["foreign_keys"])
    return Schema({table: tuple(own) for table, own in columns.items()}, keys)


def tokens_changed(tokens, schema, rng):
    """One token of a kind drawn at random becomes another of that kind."""
    columns = {column for own in schema.columns.values() for column in own}
    dotted = {token for token in tokens if re.fullmatch(r"t\d\.\w+", token.lower())}
    values = {token for token in tokens if token[0] in "\"'" or token.isdigit()}
    kinds = [
        (values, ["7"]),
        ({"=", ">", "<", ">=", "<=", "!="}, ["=", ">", "<", "!=", ">="]),
        ({"count", "max", "min", "sum", "avg"}, ["max", "sum", "count"]),
        ({"asc", "desc"}, ["asc", "desc"]),
        ({"distinct"}, [""]),
        ({"and", "or"}, ["and", "or"]),
        (columns, sorted(columns)),
        (set(schema.columns), sorted(schema.columns)),
        (
            dotted,
            [f"T{number}.{token.split('.')[1]}" for token in sorted(dotted) for number in (1, 2)],
        ),
    ]
    own, others = rng.choice(kinds)
    places = [place for place, token in enumerate(tokens) if {token, token.lower()} & own]
    if places:
        tokens[rng.choice(places)] = rng.choice(others)
    return " ".join(tokens)


def columns_turned(sql):
    """The columns of the result in the other order."""
    found = re.match(r"(?i)select\s+(?:distinct\s+)?([^()]*?)\s+from\b", sql)
    turned = " , ".join(reversed(found[1].split(","))) if found else ""
    return sql.replace(found[1], turned, 1) if found else sql


def conditions_turned(sql):
    """Two conditions at the end in the other order."""
    return re.sub(r"(?i)\bwhere\s+(\S+ \S+ \S+)\s+and\s+(\S+ \S+ \S+)$", r"WHERE \2 AND \1", sql)


def mutated(sql, others, schema, rng):
    """One change of a query, in its own style."""
    whole = [
        re.sub(r"\b[tT](\d)\b", r"x\1", sql),
        sql.lower(),
        rng.choice(others),
        re.sub(r"\blimit\s+\d+", "", sql, flags=re.IGNORECASE),
        re.sub(r"([\w.]+)\s*=\s*([\w.]+\.[\w.]+)", r"\2 = \1", sql),
        columns_turned(sql),
        conditions_turned(re.sub(r"\s+", " ", sql)),
    ]
    changed = [tokens_changed(WORD.findall(sql), schema, rng) for _ in range(9)]
    return rng.choice([*whole, *changed])


class Public:
    """The public scorer, as it is."""

    def __init__(self, folder, entries):
        import nltk

        # Its tokenizer of words; that of sentences, which comes first, would be downloaded.
        words = nltk.tokenize.NLTKWordTokenizer().tokenize
        nltk.word_tokenize = lambda text: list(words(text))
        sys.path[:0] = [str(folder.parent), str(folder)]
        self.evaluation = importlib.import_module(f"{folder.name}.evaluation")
        self.process = importlib.import_module(f"{folder.name}.process_sql")
        self.execution = importlib.import_module(f"{folder.name}.exec_eval")
        self.keys = {e["db_id"]: self.evaluation.build_foreign_key_map(e) for e in entries}

    def read(self, sql, schema):
        made = self.process.Schema({table: list(own) for table, own in schema.columns.items()})
        return made, self.process.get_sql(made, sql)

    def match(self, answer, gold, schema, name):
        """Level of the gold, whether it matches, and whether the answer could be read."""
        build = self.evaluation
        made, true = self.read(gold, schema)
        hard = build.Evaluator().eval_hardness(true)
        try:
            _, said = self.read(answer, schema)
        except Exception:
            return hard, False, False
        rebuilt = []
        for sql in (said, true):
            valid = build.build_valid_col_units(sql["from"]["table_units"], made)
            sql = build.rebuild_sql_val(sql)
            rebuilt.append(build.rebuild_sql_col(valid, sql, self.keys[name]))
        return hard, bool(build.Evaluator().eval_exact_match(*rebuilt)), True

    def execute(self, answer, gold, path):
        with redirect_stdout(io.StringIO()):
            return bool(self.execution.eval_exec_match(
                db=str(path), p_str=answer, g_str=gold, plug_value=False, keep_distinct=True,
                progress_bar_for_each_datapoint=False,
            ))  # fmt: skip


def executed(answer, gold, path):
    """Ours; None where the gold does not run."""
    database, limits = open_database(str(path)), TextToSqlConfig(row_limit=100_000)
    true, said = (run_query(database, sql, limits) for sql in (gold, answer))
    if true.problem:
        return None
    return not said.problem and equal_results(true.rows, said.rows, ordered=is_ordered(gold))


def main():
    folder, spider = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    entries = json.loads((spider / "tables.json").read_text())
    schemas = {entry["db_id"]: schema_of(entry) for entry in entries}
    public = Public(folder, entries)
    rows = json.loads((spider / "dev.json").read_text())
    golds = defaultdict(list)
    for row in rows:
        golds[row["db_id"]].append(row["query"])
    rng, counts, differ, levels = random.Random(13), Counter(), [], Counter()
    for row in rows:
        name, gold = row["db_id"], row["query"]
        schema, path = schemas[name], next(spider.glob(f"*/{name}/{name}.sqlite"), None)
        true = parts_of(gold, schema)
        levels[level(true)] += 1
        answers = [gold, *(mutated(gold, golds[name], schema, rng) for _ in range(EACH))]
        for answer in answers:
            hard, match, read = public.match(answer, gold, schema, name)
            found = [("level", hard == level(true), True, "")]
            ours = matches_parts(parts_of(answer, schema), true, schema)
            kind = "match" if read else "match, unread by the public parser"
            found.append((kind, ours == match, match, (gold, answer)))
            mine = None if path is None else executed(answer, gold, path)
            if mine is not None:
                theirs = public.execute(answer, gold, path)
                found.append(("execution", mine == theirs, theirs, (gold, answer)))
                if normal_form(answer, schema) == normal_form(gold, schema):
                    found.append(("query match, with its execution", mine, theirs, (gold, answer)))
            for kind, same, right, pair in found:
                counts[kind] += 1
                counts[f"{kind} same"] += same
                counts[f"{kind} right"] += right
                differ += [] if same else [(kind, right, *pair)]
    print(f"levels of {len(rows)} golds: {dict(sorted(levels.items()))}")
    print("| measure | pairs | right by the public scorer | agree |\n| --- | --- | --- | --- |")
    for kind in [kind for kind in counts if not kind.endswith((" same", " right"))]:
        print(f"| {kind} | {counts[kind]} | {counts[kind + ' right']} | {counts[kind + ' same']} |")
    for case in differ[: int(sys.argv[3]) if len(sys.argv) > 3 else 0]:
        print(*case, sep="\n  ")


if __name__ == "__main__":
    main()
