"""How well do two estimators tell wrong labels from labels that are hard to tell?

    python benchmarks/label_noise.py [FILE…]

FILE is CSV or JSONL with text and label; without one, the sets that ship. Labels are flipped at
random; out-of-fold answers come from ridge regression on n-grams of letters.
"""

import csv
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedKFold

from fucina.data.audit.label_noise import suspects
from fucina.metrics import apply_temperature, fit_temperature, flipped_share
from fucina.models import lexical
from fucina.models.floor import ridge
from fucina.records import Predictions

DEMO = Path(__file__).parent.parent / "src" / "fucina" / "demo"
FLIPPED = (0.0, 0.05, 0.1, 0.2)
FOLDS = 5


def read(path):
    text = Path(path).read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines())) if str(path).endswith(".csv") else [
        json.loads(line) for line in text.splitlines() if line.strip()
    ]  # fmt: skip
    counts = Counter(row["label"] for row in rows)
    rows = [row for row in rows if counts[row["label"]] >= FOLDS]
    return [row["text"] for row in rows], [row["label"] for row in rows]


def out_of_fold(ngrams, targets, count):
    scores = np.zeros((len(targets), count))
    dealer = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for train, out in dealer.split(ngrams, targets):
        table, shift = ridge(ngrams[train], targets[train], count)
        scores[out] = table.scores(ngrams[out]) + shift
    powers = np.exp(4 * (scores - scores.max(axis=1, keepdims=True)))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    return apply_temperature(probabilities, fit_temperature(probabilities, targets))


def main():
    paths = sys.argv[1:] or [
        DEMO / f"customer_support_{code}" / "train.jsonl" for code in ("it", "en")
    ]
    print(
        "| set | labels | flipped | accuracy | confident learning | surest rows |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    for path in paths:
        texts, labels = read(path)
        names = sorted(set(labels))
        clean = np.array([names.index(label) for label in labels])
        ngrams = lexical.counts(texts, lexical.learn(texts))
        for rate in FLIPPED:
            rng = np.random.default_rng(1)
            targets = clean.copy()
            flip = rng.random(len(targets)) < rate
            targets[flip] = (targets[flip] + rng.integers(1, len(names), flip.sum())) % len(names)
            probabilities = out_of_fold(ngrams, targets, len(names))
            answers = Predictions(
                tuple(names), probabilities, tuple(names[t] for t in targets), tuple(texts)
            )
            accuracy = float((probabilities.argmax(axis=1) == targets).mean())
            print(
                f"| {Path(path).parent.name}/{Path(path).stem} | {len(names)} | {rate:.0%} "
                f"| {accuracy:.2f} | {suspects(answers)[1]:.1%} | {flipped_share(probabilities, targets):.1%} |"
            )


if __name__ == "__main__":
    main()
