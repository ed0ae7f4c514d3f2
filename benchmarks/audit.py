"""How long an audit of many rows takes, check by check: python benchmarks/audit.py [--rows 100000].

Rows are sentences of random Italian words, one in ten a near copy of another, half as many with an
e-mail address or a number; tokens are counted with the embedded model's tokenizer.
"""

import argparse
import time

import numpy as np

from fucina.data import Subject
from fucina.data.audit import CHECKS
from fucina.models import source
from fucina.models.tokenize import count_tokens
from fucina.records import Dataset, Example, Predictions

WORDS = [
    "quando",
    "arriva",
    "il",
    "corriere",
    "ieri",
    "mattina",
    "vorrei",
    "sapere",
    "perché",
    "nessuno",
    "risponde",
    "al",
    "telefono",
    "della",
    "vostra",
    "sede",
    "centrale",
    "mentre",
    "aspetto",
    "ancora",
    "una",
    "conferma",
    "scritta",
    "sulla",
    "spedizione",
    "promessa",
    "dal",
    "negozio",
    "vicino",
    "casa",
    "mia",
    "oppure",
    "dovrei",
    "cambiare",
    "taglia",
    "colore",
    "modello",
    "prima",
    "che",
    "scada",
    "la",
    "garanzia",
]
LABELS = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = sentences(parser.parse_args().rows)
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(LABELS), size=len(rows))
    labels = tuple(f"l{i:02}" for i in range(LABELS))
    answers = Predictions(labels, p, tuple(rows.targets), tuple(rows.prompts))
    tokenizer = source.read_tokenizer("minilm", source.locate("minilm"))
    subject = Subject(
        rows, folds=5, max_length_tokens=16, out_of_fold=answers,
        count_tokens=lambda texts: count_tokens(texts, tokenizer),
    )  # fmt: skip
    whole = 0.0
    for check in CHECKS:
        began = time.perf_counter()
        found = check.check(subject)
        seconds = time.perf_counter() - began
        whole += seconds
        name = check.__name__.rsplit(".", 1)[-1]
        print(f"{name:16} {seconds:6.1f} s  {', '.join(f.check for f in found)}", flush=True)
    print(f"{len(rows):,} rows {whole:6.1f} s")


def sentences(count):
    rng = np.random.default_rng(0)
    texts = []
    for row in range(count):
        if row % 10 == 9:
            text = texts[int(rng.integers(len(texts)))] + " grazie"
        else:
            text = " ".join(rng.choice(WORDS, size=int(rng.integers(6, 18)), replace=False))
        if row % 20 == 3:
            text += f" scrivi a utente{row}@example.org"
        if row % 20 == 4:
            text += f" ordine {row:09}"
        texts.append(text)
    return Dataset(
        "train",
        tuple(Example(t, f"l{i % LABELS:02}", origin=f"train:{i}") for i, t in enumerate(texts)),
    )


if __name__ == "__main__":
    main()
