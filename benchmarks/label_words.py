"""Labels by their names: one pass over a tree of names, against names one by one and writing.

    python benchmarks/label_words.py [--epochs 6] [--rounds 5] [--rows 960]

A small decoder of random weights (model.base: scratch) learns the Italian demo twice: with a head of classes, and
with the names of the twelve labels (model.head: words). Then the second answers the test rows in four ways, in
interleaved rounds; processor seconds of all threads are compared, because the machine may be shared.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

from fucina import flow, opening
from fucina.models import threads
from fucina.models.build import build
from fucina.models.by_name import ByName
from fucina.models.constrain import Held
from fucina.models.writer import Writer
from fucina.recipe import parse
from fucina.records import Example, Grammar, silent

DEMO = Path(__file__).parents[1] / "src/fucina/demo/customer_support_it"
SYSTEM = "Di quale intento parla il cliente? Rispondi con il solo nome."


def recipe_of(folder, name, base, epochs, *more):
    text = (
        f"{{task: classification, name: {name}, output: '{folder}/runs', data: {{train: "
        f"'{folder}/train.jsonl', test: '{DEMO}/test.jsonl'}}, model: {{base: '{base}'}}, "
        "adapter: {kind: full, layers: all}, evaluation: {bootstrap_samples: 200, baselines: []}, "
        f"training: {{epochs: {epochs}, learning_rate: 1e-3, precision: float32}}}}"
    )
    return parse(text, more)[0]


def learn(folder, options):
    """Both ways to learn; returns the folder of the run that learnt names."""
    rows = (DEMO / "train.jsonl").read_text(encoding="utf-8").splitlines()
    kept = random.Random(13).sample(rows, min(options.rows, len(rows)))
    (folder / "train.jsonl").write_text("\n".join(kept), encoding="utf-8")
    words = recipe_of(
        folder, "words", "scratch", options.epochs, "model.head=words", f"chat.system={SYSTEM}"
    )
    found = flow.train(words, folder)
    base = next((folder / "runs/.bases").glob("scratch-*"))
    ways = {"names (words)": found}
    for name, more in (
        ("classes", "model.lexical=false"),
        ("classes + n-grams", "model.lexical=true"),
    ):
        run = recipe_of(folder, name.split()[0], base, options.epochs, more)
        ways[name] = flow.train(run, folder)
    print(
        f"{len(kept)} rows, {options.epochs} epochs; accuracy on 300 test rows, and calibration error"
    )
    for name, outcome in ways.items():
        accuracy, ece = (outcome.model.scores[key] for key in ("accuracy", "ece"))
        print(
            f"{name:20} {accuracy.value:.3f} ({accuracy.low:.3f} to {accuracy.high:.3f})  {ece.value:.3f}"
        )
    return Path(found.folder)


def race(run, options, pool):
    """Answer the test rows in each way; writing reads the label off what was written."""
    recipe, model = opening.load_model(run, workers=threads.count(pool))
    base, names = model.base, model.weigher.names
    rows = [json.loads(line) for line in (DEMO / "test.jsonl").read_text("utf-8").splitlines()]
    asked = [Example(row["text"], "") for row in rows]
    whole = tuple(
        build(
            base,
            recipe.adapter,
            members=1,
            labels=0,
            seed=0,
            workers=threads.count(pool),
            whole=True,
        )
        for _ in model.weigher.stacks
    )
    for own, stack in zip(whole, model.weigher.stacks, strict=True):
        own.bind(stack.adapters, own.heads)
    one_of = Grammar("lark", "start: " + " | ".join(json.dumps(label) for label in names.labels))
    free = Writer(base, whole, names.longest)
    held = replace(free, held=Held(lambda some: [one_of] * len(some), base.template))
    apart = ByName(base, model.weigher.stacks, names)
    vars(apart)["together"] = False

    def weighed(weigher):
        scores = weigher.scores([row["text"] for row in rows], threads=pool, progress=silent)[0]
        return [names.labels[place] for place in scores.argmax(axis=1)]

    ways = {
        "one pass over the tree of names": lambda: weighed(model.weigher),
        "a pass for each name": lambda: weighed(apart),
        "writing": lambda: free.predict(asked, threads=pool, foretell=False).answers,
        "writing, held to the names": lambda: (
            held.predict(asked, threads=pool, foretell=False).answers
        ),
    }
    seconds, answers = {way: [] for way in ways}, {}
    for number in range(options.rounds + 1):
        for way, job in ways.items():
            began = time.process_time()
            answers[way] = list(job())
            if number:  # the first round finds everything cold
                seconds[way].append(time.process_time() - began)
    first = statistics.median(seconds["one pass over the tree of names"])
    tokens = sum(map(len, names.tokens))
    print(
        f"\n{len(names.labels)} names of {tokens} tokens, {len(names.trie)} in the tree; {len(rows)} rows"
    )
    print(f"{'way':34} {'processor s':>11} {'ratio':>6} {'right':>6} {'no label':>9}")
    for way, found in seconds.items():
        right = sum(a == row["label"] for a, row in zip(answers[way], rows, strict=True)) / len(
            rows
        )
        none = sum(answer not in names.labels for answer in answers[way])
        taken = statistics.median(found)
        print(f"{way:34} {taken:11.2f} {taken / first:6.2f} {right:6.3f} {none:9}", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=960)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder, threads.start() as pool:
        race(learn(Path(folder), options), options, pool)


if __name__ == "__main__":
    main()
