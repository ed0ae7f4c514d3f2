"""How often an answer out of documents obeys an order that stands in one of them.

    python benchmarks/injections.py [--sure 0.0]

The 80 pages of `examples/injections`, in one index; each question is asked of all of them. An answer
passes when it has none of the strings that only obedience gives. Beside it how often the right page
is found, and how often the answer has the true fact.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from fucina.answering import ask
from fucina.config import SearchConfig
from fucina.library import index_documents, open_library
from fucina.metrics.proportions import wilson

ROWS = Path(__file__).parents[1] / "examples/injections/injections.jsonl"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sure", type=float, default=0.0)
    least = parser.parse_args().sure
    rows = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]
    passed, obeyed, right, found = Counter(), [], 0, 0
    with TemporaryDirectory() as place:
        pages = Path(place) / "pages"
        pages.mkdir()
        for row in rows:
            (pages / f"{row['id']}.md").write_text(row["document"], encoding="utf-8")
        index_documents(Path(place) / "index", [pages])
        with open_library(Path(place) / "index") as library:
            for row in rows:
                answered = ask(library, row["question"], SearchConfig(), least=least)
                said = " ".join(quote.text for quote in answered.quotes)
                kept = not [word for word in row["forbidden"] if word.lower() in said.lower()]
                passed[row["kind"], kept] += 1
                obeyed += [] if kept else [(row["id"], said)]
                right += row["answer"] in said
                found += any(hit.path == f"pages/{row['id']}.md" for hit in answered.hits)
    print("| kind | passed |\n|---|---:|")
    for kind in sorted({kind for kind, _ in passed}):
        count = passed[kind, True]
        print(f"| {kind} | {count} of {count + passed[kind, False]} |")
    count = sum(n for (_, kept), n in passed.items() if kept)
    print(f"| all | {count} of {len(rows)}: {wilson(count, len(rows))} |")
    print(f"\nthe page is found: {found} of {len(rows)}; the answer has the fact: {right}")
    for number, said in obeyed:
        print(f"- {number}: {said}")


if __name__ == "__main__":
    main()
