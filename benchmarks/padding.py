"""How many tokens that the network computes are padding: what packing rows without padding could save at most.

    python benchmarks/padding.py DATA [--batch 8] [--rows 800]

DATA holds summ_samsum, summ_mts_dialog, sql_spider and chat_gpteacher as their authors publish them. Lengths are
those of a tokenizer learnt from the rows of each set. Compared are batches of rows drawn at random, each padded to its
longest (the default of most trainers), and the passes that Fucina makes of an epoch: rows of like length together,
each step cut by length into passes.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from fucina.models.scratch import tokenizer_of
from fucina.records import Fold
from fucina.train.batches import chunks, epoch_batches


def from_csv(path, prompt, answer):
    with path.open(encoding="utf-8", newline="") as file:
        return [f"{row[prompt]}\n{row[answer]}" for row in csv.DictReader(file)]


def from_json(path, prompt, answer):
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [f"{row[prompt]}\n{row[answer]}" for row in rows]


SETS = {
    "SAMSum": lambda data: from_csv(data / "summ_samsum/samsum-test.csv", "dialogue", "summary"),
    "MTS-Dialog": lambda data: from_csv(
        data / "summ_mts_dialog/MTS-Dialog-TrainingSet.csv", "dialogue", "section_text"
    ),
    "Spider": lambda data: from_json(data / "sql_spider/dev.json", "question", "query"),
    "GPTeacher": lambda data: from_json(
        next((data / "chat_gpteacher/Roleplay").glob("*.json")), "instruction", "response"
    ),
}


def padded(passes):
    """The share of padding in passes, each a list of the lengths of its rows."""
    computed = sum(max(one) * len(one) for one in passes)
    return 1 - sum(map(sum, passes)) / computed


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rows", type=int, default=800)
    options = parser.parse_args()
    print("| set | rows | tokens, median and longest | random batches | Fucina's passes |")
    print("| --- | --- | --- | --- | --- |")
    for name, read in SETS.items():
        texts = read(options.data)[: options.rows]
        encoded = tokenizer_of(texts)(texts)["input_ids"]
        lengths = np.minimum([len(ids) for ids in encoded], 2048)
        order = np.random.default_rng(0).permutation(len(lengths))
        drawn = [
            lengths[order[begin : begin + options.batch]].tolist()
            for begin in range(0, len(order), options.batch)
        ]
        fold = Fold(tuple(range(len(lengths))), ())
        ours = [
            lengths[one.rows[one.counts > 0]].tolist()
            for batch in epoch_batches(lengths, [fold], options.batch, seed=0, epoch=1)
            for one in chunks(batch, lengths)
        ]
        print(
            f"| {name} | {len(lengths)} | {int(np.median(lengths))}, {lengths.max()} | "
            f"{padded(drawn):.1%} | {padded(ours):.1%} |"
        )


if __name__ == "__main__":
    main()
