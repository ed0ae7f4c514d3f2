"""Does fucina diagnose name the cause that was planted?

    python benchmarks/diagnosis.py [--seeds 3] [--other TRAIN TEST] [--causes NAME …] [--healthy 20]

Each cause is planted alone in a healthy recipe, on two data sets and three seeds; counted is how
often it is ranked first, and among the first two. Healthy runs must yield no high-severity cause.
One set is the Italian one that ships; the other is given by --other (CSV or JSONL with text and
label), else it is the English one that ships.
"""

import argparse
import csv
import json
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from fucina import diagnosing, flow
from fucina.errors import FucinaError
from fucina.recipe import parse

DEMO = Path(__file__).parent.parent / "src" / "fucina" / "demo"
LABELS, ROWS_A_LABEL = 30, 30  # of a larger set, so that a run takes seconds


def read(path):
    text = Path(path).read_text(encoding="utf-8")
    if str(path).endswith(".csv"):
        return [{"text": r["text"], "label": r["label"]} for r in csv.DictReader(text.splitlines())]
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [{"text": r["text"], "label": r["label"]} for r in rows]


def reduced(train, test):
    """A larger set cut to LABELS labels of ROWS_A_LABEL rows."""
    labels = sorted({r["label"] for r in train})
    if len(labels) <= LABELS and len(train) <= LABELS * ROWS_A_LABEL * 2:
        return train, test
    kept = random.Random(0).sample(labels, min(LABELS, len(labels)))
    seen = Counter()
    small = []
    for row in train:
        if row["label"] in kept and seen[row["label"]] < ROWS_A_LABEL:
            seen[row["label"]] += 1
            small.append(row)
    return small, [r for r in test if r["label"] in kept]


def by_label(rows):
    found = defaultdict(list)
    for row in rows:
        found[row["label"]].append(row)
    return found


def few_examples(train, test, rng):
    return [r for own in by_label(train).values() for r in rng.sample(own, 6)], test


def imbalance(train, test, rng):
    sizes = by_label(train)
    rich = set(rng.sample(sorted(sizes), max(2, len(sizes) // 5)))
    return [
        r for label, own in sizes.items() for r in (own if label in rich else rng.sample(own, 5))
    ], test


def noise(train, test, rng):
    labels = sorted({r["label"] for r in train})
    return [
        {**r, "label": rng.choice([y for y in labels if y != r["label"]])}
        if rng.random() < 0.2
        else r
        for r in train
    ], test


def leak(train, test, rng):
    return train + rng.sample(test, len(test) // 2), test


def told(train, test, rng):
    code = {y: f"#{i:03d}" for i, y in enumerate(sorted({r["label"] for r in train}))}

    def add(rows):
        return [{**r, "text": f"{r['text']} {code[r['label']]}"} for r in rows]

    return add(train), add(test)


def wrapped(train, test, rng):
    return [{**r, "text": f"Richiesta del cliente numero uno: {r['text']}"} for r in train], test


def wrapped_in_use(train, test, rng):
    return train, [{**r, "text": f"{r['text']} Answer with one label only."} for r in test]


def typos(text, rng):
    letters = list(text.upper())
    for _ in range(max(2, len(letters) // 5)):
        place = rng.randrange(len(letters))
        letters[place] = rng.choice("ABCDEFGHILMNOPQRSTUVZ ")
    return "".join(letters)


def shifted(train, test, rng):
    return train, [{**r, "text": typos(r["text"], rng)} for r in test]


def tiny_test(train, test, rng):
    return train, rng.sample(test, 15)


def copies(train, test, rng):
    few = [r for own in by_label(train).values() for r in rng.sample(own, max(4, len(own) // 4))]
    return few + [rng.choice(few) for _ in range(len(train) - len(few))], test


def mojibake(train, test, rng):
    def broken(text):
        return (
            text.replace("e", "é").encode("utf-8").decode("latin-1") if rng.random() < 0.6 else text
        )

    return [{**r, "text": broken(r["text"])} for r in train], test


def twin_labels(train, test, rng):
    label = rng.choice(sorted({r["label"] for r in train}))

    def split(rows):
        return [
            {**r, "label": f"{label}_bis"} if r["label"] == label and rng.random() < 0.5 else r
            for r in rows
        ]

    return split(train), split(test)


def contradicting(train, test, rng):
    labels = sorted({r["label"] for r in train})
    again = [
        {**r, "label": rng.choice([y for y in labels if y != r["label"]])}
        for r in rng.sample(train, len(train) // 4)
    ]
    return train + again, test


def same(train, test, rng):
    return train, test


# name of the cause: how the rows change, which settings change, other causes that say the same
PLANTS = {
    "too_few_examples": (few_examples, {}),
    "learning_rate_low": (same, {"training.learning_rate": 1e-6}),
    "learning_rate_high": (same, {"training.learning_rate": 0.1}),
    "warmup_too_long": (same, {"training.warmup": 20000}),
    "too_few_epochs": (same, {"training.epochs": 1, "training.start": "cold"}),
    "batch_too_large": (same, {"training.batch_size": 512}),
    "overfitting": (same, {
        "training.epochs": 25, "training.learning_rate": 2e-3, "adapter.rank": 64,
        "training.start": "cold", "model.lexical": False,
        "stopping.keep": "rollback", "stopping.max_ratio": "off", "stopping.patience": 20,
    }),
    "stopped_early": (same, {
        "stopping.patience": 1, "stopping.max_ratio": 1.01, "training.epochs": 12, "training.start": "cold",
    }),
    "regularization": (same, {"adapter.dropout": 0.95, "training.weight_decay": 1.0}),
    "rank_too_small": (same, {"adapter.rank": 1, "adapter.alpha": 2, "training.start": "cold"}),
    "wrong_modules": (same, {"adapter.target_modules": ["key"], "adapter.layers": 1}),
    "too_little_adapted": (same, {"adapter.kind": "head"}),
    "class_imbalance": (imbalance, {}),
    "label_noise": (noise, {}),
    "leakage": (leak, {"data.allow_duplicates": True}),
    "answer_in_text": (told, {}),
    "truncation": (same, {"model.max_length_tokens": 5}),
    "template_mismatch": (wrapped, {}),
    "template_mismatch (in use)": (wrapped_in_use, {}),
    "distribution_shift": (shifted, {}),
    "test_too_small": (tiny_test, {}),
    "duplicates": (copies, {}),
    "damaged_text": (mojibake, {}),
    "confusable_labels": (twin_labels, {}),
    "contradictions": (contradicting, {}),
}  # fmt: skip


def run(place, train, test, overrides, seed):
    """Train and diagnose; returns the causes."""
    for name, rows in (("train", train), ("test", test)):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (place / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    recipe = "{task: classification, name: planted, data: {train: train.jsonl, test: test.jsonl}}"
    settings = {
        "output": str(place / "runs"), "seed": seed, "data.allow_duplicates": True,
        "evaluation.bootstrap_samples": 200, **overrides,
    }  # fmt: skip
    recipe = parse(recipe, [f"{key}={json.dumps(value)}" for key, value in settings.items()])[0]
    outcome = flow.train(recipe, place)
    return outcome, diagnosing.diagnose_run(Path(outcome.folder)).causes


def trial(name, rows, seed):
    rng = random.Random(seed)
    plant, overrides = PLANTS.get(name, (same, {}))
    train, test = plant(*rows, rng)
    with tempfile.TemporaryDirectory() as place:
        try:
            outcome, causes = run(Path(place), train, test, overrides, seed)
        except FucinaError as error:
            return None, [f"error: {error.problem[:60]}"], []
    ranked = [cause.name for cause in causes]
    return outcome.model.scores["accuracy"].value, ranked, [round(c.weight, 2) for c in causes]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--other", nargs=2, metavar=("TRAIN", "TEST"))
    options.add_argument("--causes", nargs="*", default=list(PLANTS))
    options.add_argument("--healthy", type=int, default=20)
    given = options.parse_args()
    sets = {
        "support_it": [DEMO / "customer_support_it" / f"{side}.jsonl" for side in ("train", "test")]
    }
    other = given.other or [
        DEMO / "customer_support_en" / f"{side}.jsonl" for side in ("train", "test")
    ]
    sets["other"] = other
    rows = {name: reduced(*map(read, paths)) for name, paths in sets.items()}
    began, first, second, total = time.time(), Counter(), Counter(), Counter()
    for cause in given.causes:
        wanted = cause.split(" ")[0]
        for set_name, (train, test) in rows.items():
            for seed in range(1, given.seeds + 1):
                score, ranked, weights = trial(cause, (train, test), seed)
                total[cause] += 1
                first[cause] += ranked[:1] == [wanted]
                second[cause] += wanted in ranked[:2]
                shown = ", ".join(
                    f"{n} {w}" for n, w in zip(ranked[:3], weights, strict=False)
                ) or str(ranked)
                mark = "1" if ranked[:1] == [wanted] else "2" if wanted in ranked[:2] else "-"
                print(
                    f"{mark} {cause:28} {set_name:11} {seed} {score} {shown}",
                    file=sys.stderr,
                    flush=True,
                )
    alarms = 0
    for number in range(given.healthy):
        set_name = list(rows)[number % len(rows)]
        score, ranked, weights = trial("healthy", rows[set_name], 100 + number)
        bad = [n for n, w in zip(ranked, weights, strict=False) if w >= 0.6]
        alarms += bool(bad)
        print(
            f"{'!' if bad else '0'} healthy {set_name:11} {number} {score} {list(zip(ranked, weights, strict=False))[:3]}",
            file=sys.stderr,
            flush=True,
        )
    print("| planted cause | ranked first | in the first two | trials |\n| --- | --- | --- | --- |")
    for cause in given.causes:
        print(f"| {cause} | {first[cause]} | {second[cause]} | {total[cause]} |")
    trials = sum(total.values())
    if trials:
        print(
            f"| **all** | **{sum(first.values()) / trials:.0%}** | "
            f"**{sum(second.values()) / trials:.0%}** | {trials} |"
        )
    print(
        f"\n{alarms} of {given.healthy} healthy runs raised a high-severity cause; "
        f"{(time.time() - began) / 60:.0f} minutes."
    )


if __name__ == "__main__":
    main()
