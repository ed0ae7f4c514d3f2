"""ROUGE of summaries that cost nothing, beside the library, and with the letters it drops.

    python benchmarks/rouge.py [FILE…] [dialogue=COLUMN] [summary=COLUMN]

FILE is what `data.train` of a summarization recipe may be; without one, the sample that ships, each
language for itself. `broken` is the share of words of the true summaries that hold a letter outside
a-z and 0-9. The last column is the greatest difference of a row from the library rouge-score (pip
install rouge-score), where it is installed.
"""

import re
import sys
from pathlib import Path

from fucina import data, tasks
from fucina.metrics import value_of
from fucina.tasks.summarization.scores import scores

TASK = tasks.get("summarization")
SHOWN = ("rouge1", "rouge2", "rougeL", "rougeLsum", "rouge1_accents", "rougeL_accents")


def read(arguments):
    columns = dict(a.split("=", 1) for a in arguments if "=" in a)
    paths = [Path(a) for a in arguments if "=" not in a]
    if paths:
        return {path.name: list(data.load(path, TASK, columns).examples) for path in paths}
    folder = tasks.folder("summarization")
    rows = [
        row
        for name in ("sample.jsonl", "test.jsonl")
        for row in data.load(folder / name, TASK, {}).examples
    ]
    spoken = {
        code: [row for row in rows if data.guess(row.prompt) == code] for code in ("it", "en")
    }
    return {f"sample, {code}": own for code, own in spoken.items()}


def from_library(answers, rows):
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        return None
    scorer = RougeScorer(list(SHOWN[:4]), use_stemmer=True)
    return [scorer.score(row.target, answer) for answer, row in zip(answers, rows, strict=True)]


def main():
    print(
        "| set | rows | broken | summaries | " + " | ".join(SHOWN) + " | from the library |\n"
        "| --- | --- | --- | --- |" + " --- |" * (len(SHOWN) + 1)
    )
    for name, rows in read(sys.argv[1:]).items():
        words = [word for row in rows for word in re.findall(r"[^\W_]+", row.target.lower())]
        broken = sum(re.fullmatch("[a-z0-9]+", word) is None for word in words) / len(words)
        # Another row's summary is nearest to what chance gives.
        ways = {**{way: make([], rows) for way, make in TASK.judging.baselines.items()},
                "of another row": [row.target for row in (*rows[1:], rows[0])]}  # fmt: skip
        for way, answers in ways.items():
            found = scores(answers, rows)
            library = from_library(answers, rows)
            apart = "" if library is None else max(
                abs(own[key].fmeasure - found[key].gained[place])
                for place, own in enumerate(library)
                for key in SHOWN[:4]
            )  # fmt: skip
            cells = " | ".join(f"{value_of(found[key]):.4f}" for key in SHOWN)
            far = apart if apart == "" else f"{apart:.0e}"
            print(f"| {name} | {len(rows)} | {broken:.1%} | {way} | {cells} | {far} |")


if __name__ == "__main__":
    main()
