"""What a base gains over the same network with random weights, and over the stand-in from nothing.

    python benchmarks/favilla.py [DATA] [--base favilla] [--only NAME ...] [section.key=value ...]

Every generative example of `examples/` as it is, and with DATA the public sets below it as their
authors publish them: Spider (questions of training, judged on the development set), SAMSum (its
validation part is learnt, its test part judged), KIND (words tagged by a decoder, read both ways),
xSID in Italian and CLINC150 (intents). Each is trained three times with the same settings: from the
base, from the same network and words with random weights, and from `scratch`, whose words are those
of the rows. A cell is the score that decides the run, its interval, and for texts the perplexity.
"""

import argparse
import csv
import json
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from fucina import flow
from fucina.models.source import locate
from fucina.recipe import load, parse

EXAMPLES = Path(__file__).parents[1] / "examples"
GENERATIVE = {
    "summaries": "summaries/recipe.yaml",
    "persona": "persona/recipe.yaml",
    "hashtags": "specialists/recipe_hashtags.yaml",
    "sql": "specialists/recipe_sql.yaml",
    "together": "specialists/recipe_together.yaml",
}
TEXT = (
    "adapter: {kind: full, layers: all}, training: {epochs: 3, learning_rate: 1e-3, batch_size: 8}"
)
FEW = "evaluation: {bootstrap_samples: 300}"


def untrained(base, place):
    """The network of a base with random weights, beside the same words."""
    import torch
    import transformers

    from fucina.pretrain.network import scaled

    source = locate(base)
    config = transformers.AutoConfig.from_pretrained(source)
    torch.manual_seed(0)
    network = transformers.AutoModelForCausalLM.from_config(config)
    scaled(network, config.num_hidden_layers)
    network.float().save_pretrained(place)
    transformers.AutoTokenizer.from_pretrained(source).save_pretrained(place)
    return str(place)


def rows_of(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def spider(data, place):
    questions = [json.loads(line) for line in (data / "train_rebuilt.jsonl").open(encoding="utf-8")]
    folder = data / "database_rebuilt"
    known = {found.name for found in folder.iterdir()}
    tables = json.loads((data / "tables.json").read_text(encoding="utf-8"))
    # The answers to the widest schemas would not fit behind them.
    known -= {one["db_id"] for one in tables if len(one["column_names"]) > 60}
    rows_of(place / "train.jsonl", [q for q in questions[::6] if q["db_id"] in known][:1200])
    judged = json.loads((data / "dev.json").read_text(encoding="utf-8"))
    keys = ("db_id", "question", "query")
    judged = [{key: q[key] for key in keys} for q in judged if q["db_id"] in known]
    rows_of(place / "test.jsonl", judged[::4])
    (place / "database").symlink_to(folder.resolve())
    return (
        "task: text_to_sql, text_to_sql: {schema_form: short, sample_rows: 0}, chat: {max_new_tokens: 96}, "
        f"{TEXT}, model: {{max_length_tokens: 768, BASE}}"
    )


def samsum(data, place):
    for name, part, count in (("train", "validation", 800), ("test", "test", 200)):
        with (data / f"samsum-{part}.csv").open(encoding="utf-8", newline="") as file:
            rows_of(place / f"{name}.jsonl", list(csv.DictReader(file))[:count])
    return f"task: summarization, chat: {{max_new_tokens: 64}}, {TEXT}, model: {{max_length_tokens: 1024, BASE}}"


def kind(data, place):
    from entities import SETS, TEST, head

    _, train, test = SETS["KIND"]
    head(data / "evalita-2023" / train, place / "train.conll", 800)
    head(data / "evalita-2023" / test, place / "test.conll", TEST)
    return (
        "task: entities, adapter: {layers: all}, training: {epochs: 6, learning_rate: 3e-4}, "
        "model: {look_ahead: true, BASE}"
    )


def xsid(data, place):
    learnt = {}
    for name, part in (("train", "valid"), ("test", "test")):
        found, text = [], ""
        for line in (data / f"data/xSID-0.7/it.{part}.conll").read_text("utf-8").splitlines():
            key, _, value = line.removeprefix("# ").partition(" = ")
            text = value if key == "text" else text
            if key == "intent":
                found.append({"text": text, "label": value})
        # A label with one row cannot be both learnt and validated.
        learnt = learnt or Counter(row["label"] for row in found)
        found = [row for row in found if learnt[row["label"]] > 1]
        rows_of(place / f"{name}.jsonl", found)
    return "task: classification, adapter: {layers: all}, training: {epochs: 10}, model: {lexical: false, pooling: mean, BASE}"


def clinc(data, place):
    found = json.loads((data / "data_full.json").read_text(encoding="utf-8"))
    for name, each in (("train", 20), ("test", 6)):
        seen, rows = {}, []
        for text, label in found[name]:
            seen[label] = seen.get(label, 0) + 1
            if seen[label] <= each:
                rows.append({"text": text, "label": label})
        rows_of(place / f"{name}.jsonl", rows)
    return "task: classification, adapter: {layers: all}, training: {epochs: 6}, model: {lexical: false, pooling: mean, BASE}"


SETS = {
    "Spider": ("sql_spider", spider),
    "SAMSum": ("summ_samsum", samsum),
    "KIND": ("ner_kind_it", kind),
    "xSID it": ("intent_xsid_it_en", xsid),
    "CLINC150": ("intent_clinc150", clinc),
}


def judged(name, base, data, more):
    """Train one job from one base; its scores as a cell of the table."""
    began = time.perf_counter()
    with TemporaryDirectory() as place:
        root = Path(place)
        own = [f"output={root / 'runs'}", *more]
        if name in GENERATIVE:
            file = EXAMPLES / GENERATIVE[name]
            recipe, root = load(file, [f"model.base={base}", *own])[0], file.parent
        else:
            folder, prepare = SETS[name]
            text = prepare(data / folder, root).replace("BASE", f"base: '{base}'")
            files = {path.stem: path.name for path in root.glob("t*.*")}
            text = f"{{name: b, data: {{train: {files['train']}, test: {files['test']}, allow_duplicates: true}}, {text}, {FEW}}}"
            recipe = parse(text, own)[0]
        outcome = flow.train(recipe, root)
    scores = outcome.model.scores
    cell = f"{outcome.headline} {scores[outcome.headline]}"
    if "perplexity" in scores:
        cell += f", perplexity {scores['perplexity'].value:.1f}"
    print(
        f"{name}, {Path(base).name}: {cell}, {time.perf_counter() - began:.0f} s", file=sys.stderr
    )
    return cell


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--base", default="favilla")
    parser.add_argument("--only", nargs="*")
    arguments, more = parser.parse_known_args()
    jobs = [*GENERATIVE, *(SETS if arguments.data else [])]
    with TemporaryDirectory() as place:
        bases = [arguments.base, untrained(arguments.base, Path(place) / "untrained"), "scratch"]
        print("| | " + " | ".join(Path(base).name for base in bases) + " |")
        print("|---|" + "---|" * len(bases))
        for name in jobs:
            if arguments.only and name not in arguments.only:
                continue
            own = bases[:2] if name in ("KIND", "xSID it", "CLINC150") else bases
            cells = [judged(name, base, arguments.data, more) for base in own]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
