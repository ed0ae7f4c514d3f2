"""How long an audit of many rows takes, check by check: python benchmarks/audit.py [--rows 100000].

Rows are sentences of random Italian words, one in ten a near copy of another, half as many with an
e-mail address or a number; tokens are counted with the embedded model's tokenizer. With
`--answer text` they are conversations of one or two answers, 30 words on average, one in three with
a turn of the system, and one answer in twenty is cut: how many of these are found is told.
The check `rendering`, which needs a decoder's tokenizer, is left out.
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from fucina.config import RuleConfig
from fucina.data import Subject
from fucina.data.audit import checks
from fucina.models import source
from fucina.models.tokenize import count_tokens
from fucina.records import Dataset, Example, Message, Predictions

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


RULES = (
    RuleConfig(name="short", max_words=60),
    RuleConfig(
        name="no machine talk", must_not=("modello linguistico", "intelligenza artificiale")
    ),
    RuleConfig(name="polite", must="[.!?]$", when="perché"),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--answer", choices=("label", "text"), default="label")
    given = parser.parse_args()
    cut = set()
    if given.answer == "label":
        rows = sentences(given.rows)
        subject = labelled(rows)
    else:
        rows, cut = conversations(given.rows)
        subject = Subject(rows, answer="text", rules=RULES)
    whole = 0.0
    found = []
    for check in checks(given.answer):
        began = time.perf_counter()
        new = check(subject)
        seconds = time.perf_counter() - began
        whole += seconds
        found += new
        name = check.__module__.rsplit(".", 1)[-1]
        print(f"{name:16} {seconds:6.1f} s  {', '.join(f.check for f in new)}", flush=True)
    print(f"{len(rows):,} rows {whole:6.1f} s")
    if cut:
        told = {row for finding in found if finding.check == "cut_answer" for row in finding.rows}
        right = len(told & cut)
        print(
            f"cut answers: {right / len(cut):.1%} found, {right / max(1, len(told)):.1%} of the found are"
        )


def labelled(rows):
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(LABELS), size=len(rows))
    labels = tuple(f"l{i:02}" for i in range(LABELS))
    answers = Predictions(labels, p, tuple(rows.targets), tuple(rows.prompts))
    tokenizer = source.read_tokenizer("minilm", source.locate("minilm"))
    return Subject(
        rows, folds=5, max_length_tokens=16, out_of_fold=answers,
        count_tokens=lambda texts: count_tokens(texts, tokenizer),
    )  # fmt: skip


def conversations(count):
    """Rows with answers, and the origins of those whose last answer is cut at a random word."""
    rng = np.random.default_rng(2)
    syllables = [c + v for c in "bcdfglmnprstvz" for v in "aeiou"]
    words = np.array(["".join(rng.choice(syllables, size=rng.integers(1, 5))) for _ in range(5000)])
    often = 1 / (np.arange(len(words)) + 10)  # as in a language, few words make most of a text
    often /= often.sum()

    def said(shortest, longest):
        return list(rng.choice(words, size=int(rng.integers(shortest, longest)), p=often))

    made, cut = [], set()
    for number in range(count):
        turns = (
            [Message("system", "Sei il servizio clienti di un negozio.")] if number % 3 == 0 else []
        )
        for _ in range(1 + number % 2):
            answer = said(10, 50)
            turns += [
                Message("user", " ".join(said(6, 18)).capitalize() + "?"),
                Message("assistant", " ".join(answer).capitalize() + "."),
            ]
        if rng.random() < 0.05:
            cut.add(f"train:{number}")
            turns[-1] = Message("assistant", " ".join(answer[: int(rng.integers(1, len(answer)))]))
        made.append(replace(Example.of_conversation(turns), origin=f"train:{number}"))
    return Dataset("train", tuple(made)), cut


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
