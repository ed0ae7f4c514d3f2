"""Frozen encoders side by side: intents in two languages by a linear model, retrieval by nearness.

    python benchmarks/encoders.py DATA [minilm] [favilla] [favilla+] [FOLDER ...] [--quick] [--json FILE]

DATA holds public sets as their authors publish them. Intents: accuracy of logistic regression on
pooled states, and of character n-grams without any network; xSID (Italian, 300 rows learnt),
Home Assistant (Italian, five folds that keep wordings of one command together), the twelve classes
of this project (Italian), CLINC150 (20 rows a class), Bitext. Retrieval: recall among the first five
and nDCG at 10 of SQuAD-it's paragraphs and of Cranfield, beside BM25. With --quick, parts of each. A decoder with + reads both ways.
"""

import argparse
import csv
import gzip
import json
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import normalize

from fucina.config import ModelConfig
from fucina.models import base as bases
from fucina.models import features, threads

OWN = Path(__file__).parents[1] / "src/fucina/demo/customer_support_it"


def xsid(data):
    parts = {"valid": [], "test": []}
    for part, found in parts.items():
        text = ""
        for line in (
            (data / f"intent_xsid_it_en/data/xSID-0.7/it.{part}.conll")
            .read_text("utf-8")
            .splitlines()
        ):
            key, _, value = line.removeprefix("# ").partition(" = ")
            text = value if key == "text" else text
            if key == "intent":
                found.append((text, value))
    return [(parts["valid"], parts["test"])]


def home_assistant(data):
    from ruamel.yaml import YAML

    rows, groups = [], []
    for path in sorted((data / "intent_home_assistant_it_en/tests/it").glob("[a-z]*.yaml")):
        for number, test in enumerate(YAML(typ="safe", pure=True).load(path)["tests"]):
            rows += [(sentence, test["intent"]["name"]) for sentence in test["sentences"]]
            groups += [f"{path.stem} {number}"] * len(test["sentences"])
    labels = [label for _, label in rows]
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(rows, labels, groups)
    return [([rows[i] for i in train], [rows[i] for i in test]) for train, test in folds]


def own(_):
    def read(name):
        lines = (OWN / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        return [(row["text"], row["label"]) for row in map(json.loads, lines)]

    return [(read("train"), read("test"))]


def clinc(data):
    found = json.loads((data / "intent_clinc150/data_full.json").read_text(encoding="utf-8"))
    parts = []
    for name, each in (("train", 20), ("test", 10)):
        seen, rows = {}, []
        for text, label in found[name]:
            seen[label] = seen.get(label, 0) + 1
            if seen[label] <= each:
                rows.append((text, label))
        parts.append(rows)
    return [tuple(parts)]


def bitext(data):
    parts = []
    for part in ("train", "test"):
        (path,) = (data / "intent_bitext_customer_en" / part).glob("*.csv")
        with path.open(encoding="utf-8", newline="") as file:
            parts.append([(row["utterance"], row["intent"]) for row in csv.DictReader(file)])
    return [(parts[0][::4], parts[1])]


INTENTS = {
    "xSID it": xsid,
    "Home Assistant it": home_assistant,
    "own 12 it": own,
    "CLINC150 en": clinc,
    "Bitext en": bitext,
}


def squad_it(data, quick):
    with gzip.open(data / "rag_squad_it/SQuAD_it-test.json.gz", "rt", encoding="utf-8") as file:
        found = json.load(file)
    passages, questions, relevant = [], [], []
    for document in found["data"]:
        for paragraph in document["paragraphs"]:
            for question in paragraph["qas"]:
                questions.append(question["question"])
                relevant.append({len(passages)})
            passages.append(paragraph["context"])
    kept = range(0, len(questions), 20 if quick else 5)
    return passages, [questions[i] for i in kept], [relevant[i] for i in kept]


def cranfield(data, _):
    folder = data / "rag_cranfield_en"

    def texts(name):
        parts = (folder / name).read_text(encoding="utf-8").split("\n.W\n")[1:]
        return [" ".join(part.split("\n.I ")[0].split()) for part in parts]

    passages, questions = texts("cran.all.1400"), texts("cran.qry")
    relevant = [set() for _ in questions]
    for line in (folder / "QRelsCorrectedforTRECeval").read_text(encoding="utf-8").splitlines():
        question, _, passage, grade = line.split()
        if int(grade) > 0:
            relevant[int(question) - 1].add(int(passage) - 1)
    return passages, questions, relevant


RETRIEVAL = {"SQuAD-it": squad_it, "Cranfield en": cranfield}


def classified(folds, vectors):
    """Accuracy over all test rows of all folds."""
    right = []
    for train, test in folds:
        learnt, judged = vectors([t for t, _ in train], [t for t, _ in test])
        model = LogisticRegression(C=10, max_iter=3000).fit(learnt, [label for _, label in train])
        right += list(model.predict(judged) == np.array([label for _, label in test]))
    return float(np.mean(right))


def letters(train, test):
    made = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True).fit(train)
    return made.transform(train), made.transform(test)


def bm25(passages, questions, k=1.2, b=0.75):
    """Scores of each passage for each question (Robertson and Zaragoza 2009)."""
    made = CountVectorizer(lowercase=True, token_pattern=r"\w+").fit(passages)
    counts, asked = made.transform(passages).astype(float), made.transform(questions)
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    within = np.asarray((counts > 0).sum(axis=0)).ravel()
    rarity = np.log(1 + (len(passages) - within + 0.5) / (within + 0.5))
    weights = counts.tocoo()
    base = k * (1 - b + b * lengths / lengths.mean())
    weights.data = rarity[weights.col] * weights.data * (k + 1) / (weights.data + base[weights.row])
    return np.asarray((asked @ weights.T.tocsc()).todense())


def ranked(scores, relevant):
    """Recall among the first five, and nDCG at 10, of grades 0 and 1."""
    recalls, gains = [], []
    discount = 1 / np.log2(np.arange(2, 12))
    for row, right in zip(scores, relevant, strict=True):
        if right:
            first = np.argsort(-row, kind="stable")[:10]
            hits = np.array([number in right for number in first])
            recalls.append(hits[:5].sum() / min(5, len(right)))
            gains.append((hits * discount).sum() / discount[: len(right)].sum())
    return float(np.mean(recalls)), float(np.mean(gains))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("bases", nargs="*", default=["minilm"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, help="where the numbers are kept too, for a card")
    arguments = parser.parse_args()
    intents = {name: read(arguments.data) for name, read in INTENTS.items()}
    places = {name: read(arguments.data, arguments.quick) for name, read in RETRIEVAL.items()}
    columns = [*intents, *(f"{n}, {m}" for n in places for m in ("recall@5", "nDCG@10"))]
    print("| | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    kept = {}

    def tell(name, right, found):
        numbers = [*right, *sum(found, ())]
        print("| " + " | ".join([name, *(f"{n:.3f}" for n in numbers)]) + " |", flush=True)
        kept[name] = dict(zip(columns, numbers, strict=True))
        if arguments.json:
            arguments.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")

    tell(
        "character n-grams; BM25",
        [classified(folds, letters) for folds in intents.values()],
        [ranked(bm25(passages, asked), right) for passages, asked, right in places.values()],
    )
    for name in arguments.bases:
        with threads.start() as pool:
            config = ModelConfig(base=name.removesuffix("+"), max_length_tokens=256)
            if name.endswith("+"):  # as LLM2Vec (BehnamGhader et al. 2024) pools
                config = config.model_copy(update={"look_ahead": True, "pooling": "mean"})
            base = bases.load(config)
            states = features.maker(base, pool)

            def vectors(*parts, states=states):
                return [normalize(states(part)) * 4 for part in parts]

            right = [classified(folds, vectors) for folds in intents.values()]
            found = []
            for passages, asked, relevant in places.values():
                there, questions = vectors(passages, asked)
                found.append(ranked(questions @ there.T, relevant))
        tell(Path(name).name, right, found)


if __name__ == "__main__":
    main()
