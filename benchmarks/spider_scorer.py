"""Do levels, exact set match and execution agree with Spider's public scorer?

    python benchmarks/spider_scorer.py SCORER SPIDER

SCORER is a folder with the public scorer (process_sql.py, evaluation.py, exec_eval.py, parse.py of
test-suite-sql-eval; it needs nltk, sqlparse and what else it imports). SPIDER holds dev.json,
tables.json and the databases. Every gold query is answered by itself and by mutations of it: other
aliases, columns, tables, values, operators, aggregates, orders, and other golds of its database.
What the public parser cannot read it scores as wrong; those are counted apart.
"""

import importlib
import io
import json
import random
import re
import sys
import tempfile
from collections import Counter, defaultdict
from contextlib import redirect_stdout
from pathlib import Path

from fucina.tasks.text_to_sql.components import parts_of
from fucina.tasks.text_to_sql.database import Schema, open_database
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


def mutated(sql, others, schema, rng):
    """One change of a query, in its own style."""
    tokens = WORD.findall(sql)
    lower = [token.lower() for token in tokens]
    columns = [column for own in schema.columns.values() for column in own]

    def at(*known):
        return [place for place, token in enumerate(lower) if token in known]

    def change(places, new):
        if places:
            place = rng.choice(places)
            tokens[place] = new(tokens[place])
        return places

    kind = rng.randrange(16)
    if kind == 0:
        return re.sub(r"\b[tT](\d)\b", r"x\1", sql)
    if kind == 1:
        return sql.lower() if rng.random() < 0.5 else " ".join(tokens).replace(" . ", ".")
    if kind == 2:
        return rng.choice(others)
    if kind == 3:
        change([i for i, t in enumerate(tokens) if t[0] in "\"'" or t.isdigit()], lambda t: "7")
    elif kind == 4:
        change(at("=", ">", "<", ">=", "<=", "!="), lambda t: rng.choice(["=", ">", "<", "!=", ">="]))
    elif kind == 5:
        change(at("count", "max", "min", "sum", "avg"), lambda t: rng.choice(["max", "sum", "count"]))
    elif kind == 6:
        change(at("asc", "desc"), lambda t: "asc" if t.lower() == "desc" else "desc")
    elif kind == 7:
        change(at("distinct"), lambda t: "")
    elif kind == 8:
        change(at("and", "or"), lambda t: "or" if t.lower() == "and" else "and")
    elif kind == 9:
        known = set(columns)
        change([i for i, t in enumerate(lower) if t in known], lambda t: rng.choice(columns))
    elif kind == 10:
        dotted = [i for i, t in enumerate(lower) if re.fullmatch(r"t\d\.\w+", t)]
        change(dotted, lambda t: f"T{rng.randint(1, 2)}.{t.split('.')[1]}")
    elif kind == 11:
        tables = list(schema.columns)
        change([i for i, t in enumerate(lower) if t in schema.columns], lambda t: rng.choice(tables))
    elif kind == 12:
        return re.sub(r"\blimit\s+\d+", "", sql, flags=re.I)
    elif kind == 13:
        return re.sub(r"([\w.]+)\s*=\s*([\w.]+\.[\w.]+)", r"\2 = \1", sql)
    elif kind == 14:
        found = re.match(r"(?i)select\s+(distinct\s+)?(.*?)\s+from\b", sql)
        items = found.group(2).split(",") if found and "(" not in found.group(2) else []
        return sql.replace(found.group(2), " , ".join(reversed(items)), 1) if len(items) > 1 else sql
    else:
        found = re.search(r"(?i)\bwhere\s+(\S+ \S+ \S+)\s+and\s+(\S+ \S+ \S+)$", sql)
        return sql[: found.start()] + f"WHERE {found[2]} AND {found[1]}" if found else sql
    return " ".join(tokens)


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
    with tempfile.TemporaryDirectory():
        for row in rows:
            name, gold = row["db_id"], row["query"]
            schema, path = schemas[name], next(spider.glob(f"*/{name}/{name}.sqlite"), None)
            true = parts_of(gold, schema)
            levels[level(true)] += 1
            answers = [gold, *(mutated(gold, golds[name], schema, rng) for _ in range(EACH))]
            for answer in answers:
                hard, match, read = public.match(answer, gold, schema, name)
                ours = matches_parts(parts_of(answer, schema), true, schema)
                counts["level same"] += hard == level(true)
                counts["level"] += 1
                kind = "match" if read else "match, unread by the public parser"
                counts[kind] += 1
                counts[f"{kind} same"] += ours == match
                counts[f"{kind} true"] += match
                if ours != match:
                    differ.append((kind, match, ours, gold, answer))
                if path is None or (mine := executed(answer, gold, path)) is None:
                    continue
                theirs = public.execute(answer, gold, path)
                counts["execution"] += 1
                counts["execution same"] += mine == theirs
                counts["execution true"] += theirs
                if mine != theirs:
                    differ.append(("execution", theirs, mine, gold, answer))
    print(f"levels of {len(rows)} golds: {dict(sorted(levels.items()))}")
    print("| measure | pairs | right by the public scorer | agree |\n| --- | --- | --- | --- |")
    for kind in ("level", "match", "match, unread by the public parser", "execution"):
        print(f"| {kind} | {counts[kind]} | {counts[kind + ' true'] or ''} | {counts[kind + ' same']} |")
    for case in differ[: int(sys.argv[3]) if len(sys.argv) > 3 else 0]:
        print(*case, sep="\n  ")


if __name__ == "__main__":
    main()
