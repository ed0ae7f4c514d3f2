"""Answers held to a grammar: what it lets through, and what it costs a token.

    python benchmarks/grammars.py [--spider SPIDER] [--conll TRAIN TEST] [--layers 30] [--tokens 32] [--rounds 5]

The samples of the tasks are used, and what is given beside them: SPIDER holds dev.json, tables.json and
train_spider.json or train_rebuilt.jsonl; TRAIN and TEST are in CoNLL's format. Printed is how many true answers of
held-out rows fit the grammar that their training rows give, and where the others cease to. Then a decoder of random
weights, of the shape of SmolLM2-135M with as many tokens, writes to 16 rows held and free in interleaved rounds: the
median of the ratios of processor seconds a step (one more token of each row), and the milliseconds that one grammar takes
to be made ready.
"""

import argparse
import json
import random
import statistics
import time
import warnings
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import transformers

from fucina import tasks
from fucina.config import AdapterConfig, ChatConfig, ModelConfig
from fucina.models import base as bases
from fucina.models import scratch, threads
from fucina.models.build import build
from fucina.models.constrain import Held
from fucina.models.template import open_template
from fucina.models.writer import Writer
from fucina.reading import read_file
from fucina.recipe import load, parse
from fucina.records import Example
from fucina.tasks.text_to_sql.reading import statements

SHAPE = {
    "hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9,
    "num_key_value_heads": 3, "max_position_embeddings": 2048, "tie_word_embeddings": True,
}  # fmt: skip
VOCABULARY = 49152
SHOWN = 5


def sample(name):
    """Training and held-out rows of the sample of a task, or of a form of it."""
    folder = tasks.folder(name)
    recipe, _ = load(folder / "recipe.yaml", [f"task={name}"])
    return [
        read_file(recipe, folder / file).examples for file in (recipe.data.train, recipe.data.test)
    ]


def conll(name, files):
    recipe, _ = parse(f"{{task: {name}, name: a, data: {{train: a}}}}")
    return [read_file(recipe, path).examples for path in files]


def spider(folder):
    """Questions of Spider with the schema of their database, which is all that a grammar asks for."""

    def quoted(name):
        return '"' + name.replace('"', '""') + '"'

    schemas = {}
    for entry in json.loads((folder / "tables.json").read_text("utf-8")):
        columns = defaultdict(list)
        for place, column in entry["column_names_original"]:
            columns[place].append(quoted(column))
        schemas[entry["db_id"]] = ";\n".join(
            f"CREATE TABLE {quoted(table)} ({', '.join(columns[place])})"
            for place, table in enumerate(entry["table_names_original"])
            if not table.startswith("sqlite_")
        )
    given = folder / "train_spider.json"
    text = (given if given.is_file() else folder / "train_rebuilt.jsonl").read_text("utf-8")
    train = json.loads(text) if given.is_file() else list(map(json.loads, text.splitlines()))
    dev = json.loads((folder / "dev.json").read_text("utf-8"))
    return [
        [
            Example(row["question"], statements(row["query"])[0], facts={"schema": schemas[row["db_id"]]})
            for row in rows
        ]
        for rows in (train, dev)
    ]  # fmt: skip


def fitting(title, train, rows, make):
    template = open_template(scratch.tokenizer_of([row.target for row in rows]))
    held = Held(lambda asked: make(train, asked), template)
    wrong = held.misfits(rows)
    print(f"{title:40} {len(rows) - len(wrong):5} of {len(rows):5} true answers fit")
    for row in wrong[:SHOWN]:
        matcher = held._matcher(make(train, [row])[0])
        said = template.tokenizer(row.target, add_special_tokens=False)["input_ids"]
        fits = matcher.try_consume_tokens(said)
        begin, end = (template.tokenizer.decode(part) for part in (said[:fits], said[fits:]))
        print(f"    … {begin[-60:]} ⟨does not go on with⟩ {end[:40]}")


def decoder(folder, layers):
    """Random weights, and as many tokens as the real one: of the rows, and of words of syllables."""
    rng = random.Random(0)
    syllables = [a + b for a in "bcdfglmnprstvz" for b in "aeiou"]
    words = [" " + "".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(120_000)] * 2
    texts = [
        row.target
        for name in ("text_to_sql", "hashtags", "entities.json")
        for row in sample(name)[0]
    ]
    scratch.VOCABULARY = VOCABULARY
    tokenizer = scratch.tokenizer_of(
        [*texts * 3, *("".join(words[i:][:50]) for i in range(0, len(words), 50))]
    )
    config = transformers.LlamaConfig(
        **SHAPE,
        num_hidden_layers=layers,
        vocab_size=len(tokenizer),
        eos_token_id=tokenizer.eos_token_id,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    loaded = bases.load(ModelConfig(base=str(folder), max_length_tokens=1024), "float32", "text")
    return bases.with_template(loaded, ChatConfig(), Path())


def price(title, base, train, rows, make, given, pool):
    stack = build(
        base, AdapterConfig(kind="head"), members=1, labels=0, seed=0, workers=1, whole=True
    )
    held = Held(lambda asked: make(train, asked), base.template)
    grammars = list(dict.fromkeys(make(train, rows)))
    began = time.perf_counter()
    for grammar in grammars:
        held._matcher(grammar)
    ready = 1000 * (time.perf_counter() - began) / len(grammars)
    seconds = defaultdict(list)
    for _ in range(given.rounds):
        for name, by in (("free", None), ("held", held)):
            spent = []
            for most in (1, given.tokens):
                began = time.process_time()
                said = Writer(base, (stack,), most, by).predict(rows, threads=pool, foretell=False)
                spent.append(time.process_time() - began)
            # Without the first step, which reads the prompts: held answers end sooner.
            seconds[name].append((spent[1] - spent[0]) / (max(said.written) - 1))
    ratio = statistics.median(h / f for f, h in zip(seconds["free"], seconds["held"], strict=True))
    each = 1000 * statistics.median(seconds["free"])
    print(
        f"{title:40} {ratio:5.2f} x the {each:.0f} ms of a free step; ready in {ready:.1f} ms each"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spider", type=Path)
    parser.add_argument("--conll", type=Path, nargs=2)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    names = ("hashtags", "entities.text", "entities.json", "text_to_sql")
    read = {name: sample(name) for name in names}
    sets = {**{f"{name}, sample": (name, *read[name]) for name in names}}
    if given.conll:
        for name in ("entities.text", "entities.json"):
            sets[f"{name}, CoNLL"] = (name, *conll(name, given.conll))
    if given.spider:
        sets["text_to_sql, Spider"] = ("text_to_sql", *spider(given.spider))
    for title, (name, train, rows) in sets.items():
        for grammar, make in tasks.get(name).choices.grammars.items():
            fitting(f"{title}: {grammar}", train, rows, make)
    with TemporaryDirectory() as folder, threads.start() as pool:
        base = decoder(Path(folder), given.layers)
        print(
            f"{given.layers} layers, {len(base.tokenizer)} tokens, 16 rows, {given.tokens} steps:"
        )
        for name in names:
            for grammar, make in tasks.get(name).choices.grammars.items():
                train, rows = read[name]
                price(f"{name}: {grammar}", base, train, rows[:16], make, given, pool)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
