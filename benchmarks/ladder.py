"""The ladder of shortcuts: how long one run and ten folds take, against Trainer + PEFT defaults.

    python benchmarks/ladder.py [--rows 960] [--epochs 1] [--rounds 3] [--data FILE]

Baseline: transformers.Trainer with PEFT and its defaults (random batches, the model's own
dropout, CLS pooler, two intra-op threads), on the same rows, rank, targets, epochs and batch size.
Rounds are interleaved and medians compared, because the machine may be shared. The baseline's ten
folds are ten times one fold, unless --whole runs them all. Answers that are texts, against TRL: `benchmarks/ladder_texts.py`.
"""

import argparse
import os
import statistics
import time
import warnings
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch

from fucina import prepare, reading
from fucina.models import base as bases
from fucina.models import precision, source, threads
from fucina.recipe import parse
from fucina.train import fit as loop
from fucina.train.cross_validate import Memory, cross_validate
from fucina.train.members import Hooks

DATA = Path(__file__).parents[1] / "src/fucina/demo/customer_support_it/train.jsonl"
RANK, BATCH, RATE = 8, 16, 1e-3
TARGETS = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"]


def recipe_of(data, *overrides):
    text = (
        f"{{task: classification, name: ladder, data: {{train: '{data}'}}, adapter: {{rank: {RANK},"
        f" alpha: {2 * RANK}}}, training: {{batch_size: {BATCH}, learning_rate: {RATE}}},"
        " stopping: {max_ratio: off}}"
    )
    return parse(text, overrides)[0]


SAME = [
    "adapter.layers=all",
    "training.start=cold",
    "model.lexical=false",
    "training.precision=float32",
]


def ours(split, recipe, pool):
    """Seconds and held-out accuracy of all members of a split."""
    base = bases.load(recipe.model, precision.choose(recipe))
    began = time.perf_counter()
    fit = cross_validate(split, base, recipe, threads=pool, hooks=Hooks(), memory=Memory())
    seconds = time.perf_counter() - began
    right = np.array(fit.out_of_fold.answers) == np.array(fit.out_of_fold.targets)
    return seconds, float(right.mean()), fit


def trainer(split, fold, epochs, seed):
    """Seconds and held-out accuracy of one fold with Trainer + PEFT and their defaults."""
    import transformers
    from peft import LoraConfig, get_peft_model

    folder = source.locate("minilm")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=len(split.labels)
    )
    config = LoraConfig(task_type="SEQ_CLS", r=RANK, lora_alpha=2 * RANK, target_modules=TARGETS)
    model = get_peft_model(model, config)
    data = split.development

    class Rows(torch.utils.data.Dataset):
        def __init__(self, rows):
            self.rows = [
                {**tokenizer(data.prompts[row], truncation=True, max_length=256),
                 "labels": split.labels.index(data.targets[row])}
                for row in rows
            ]  # fmt: skip

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, index):
            return self.rows[index]

    arguments = transformers.TrainingArguments(
        output_dir="/tmp/ladder", num_train_epochs=epochs, per_device_train_batch_size=BATCH,
        learning_rate=RATE, report_to=[], save_strategy="no", logging_strategy="no", use_cpu=True,
        disable_tqdm=True, seed=seed,
    )  # fmt: skip
    job = transformers.Trainer(
        model=model, args=arguments, train_dataset=Rows(fold.train),
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda p: {"right": float((p.predictions.argmax(-1) == p.label_ids).mean())},
    )  # fmt: skip
    held = Rows(fold.held_out)
    torch.set_num_threads(threads.processors())
    began = time.perf_counter()
    job.train()
    found = job.evaluate(held)
    return time.perf_counter() - began, found["eval_right"]


def latency(fit, recipe, members, pool, prompts):
    """Median milliseconds of an ensemble of the first members."""
    from fucina.models.build import build
    from fucina.models.by_class import ByClass
    from fucina.models.ensemble import Ensemble

    full = fit.stacks[0]
    stack = build(full.base, recipe.adapter, members=members, labels=full.labels, seed=0, workers=2)
    states = torch.stack([member.state for member in fit.members[:members]])
    size = full.names and sum(shape.numel() for _, shape in full.names)
    stack.bind(states[:, :size].clone(), states[:, size:].clone())
    tables = tuple(t for t in fit.lexical[:members] if t is not None)
    lexicon = fit.lexicon if len(tables) == members else None
    weigher = ByClass(full.base, (stack,), lexicon, tables)
    model = Ensemble(full.base, tuple("x" * full.labels), weigher, "average")
    times = []
    for prompt in prompts:
        began = time.perf_counter()
        model.predict([prompt], threads=pool)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rows", type=int, default=960)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with ExitStack() as stack:
        climb(options, stack)


def climb(options, stack):
    warnings.filterwarnings("ignore")
    data = options.data.resolve()
    plain = recipe_of(data, f"training.epochs={options.epochs}")
    rows = reading.read_file(plain, data)
    some = np.random.default_rng(0).permutation(len(rows))[: options.rows]
    rows = rows.take(sorted(int(row) for row in some))
    split = prepare.split(rows, validation=None, test=rows, config=plain.data, folds=10, seed=0)
    one = SimpleNamespace(**{**vars(split), "folds": split.folds[:1]})
    epochs = f"training.epochs={options.epochs}"
    results: dict[str, list] = {}
    pool = stack.enter_context(threads.start())

    def row(name, job):
        results.setdefault(name, []).append(job())

    for number in range(options.rounds):
        torch.set_num_threads(threads.processors())
        row(
            "Trainer + PEFT, one run",
            lambda n=number: trainer(one, one.folds[0], options.epochs, n),
        )
        torch.set_num_threads(1)
        with mock.patch.object(loop, "epoch_batches", _shuffled):
            row(
                "our loop, random batches, one run",
                lambda: ours(one, recipe_of(data, epochs, *SAME), pool)[:2],
            )
        row(
            "+ length buckets (same mathematics), one run",
            lambda: ours(one, recipe_of(data, epochs, *SAME), pool)[:2],
        )
        row(
            "+ stored trunk, top 2 layers, one run",
            lambda: ours(one, recipe_of(data, epochs, *SAME, "adapter.layers=2"), pool)[:2],
        )
        row(
            "ten folds stacked, all layers (same mathematics)",
            lambda: ours(split, recipe_of(data, epochs, *SAME), pool)[:2],
        )
        row(
            "ten folds, default plan (floor, warm head, top 2)",
            lambda: ours(split, recipe_of(data, epochs), pool)[:2],
        )
        print(f"round {number + 1} of {options.rounds} done", flush=True)
    base_one = statistics.median(seconds for seconds, _ in results["Trainer + PEFT, one run"])
    print(
        f"\n{len(rows)} rows, {len(split.labels)} labels, {options.epochs} epoch(s), "
        f"{threads.processors()} cores, {data.name}"
    )
    print(f"{'way':52} {'seconds':>8} {'ratio':>6} {'accuracy':>9}")
    for name, found in results.items():
        seconds = statistics.median(s for s, _ in found)
        accuracy = statistics.median(a for _, a in found)
        baseline = base_one * (10 if name.startswith("ten") else 1)
        print(f"{name:52} {seconds:8.1f} {baseline / seconds:6.1f} {accuracy:9.3f}")
    default = recipe_of(data, epochs)
    fit = ours(split, default, pool)[2]
    prompts = rows.prompts[:40]
    times = {1: [], 10: []}
    for _ in range(options.rounds):
        for members in times:
            times[members].append(latency(fit, default, members, pool, prompts))
    single, ten = (statistics.median(times[members]) for members in (1, 10))
    print(
        f"one prompt: one model {single:.1f} ms, ensemble of ten {ten:.1f} ms, "
        f"ratio {ten / single:.2f}"
    )


def _shuffled(lengths, folds, size, *, seed, epoch):
    """Batches in random order, without buckets; `lengths` is part of the interface."""
    rng = np.random.default_rng([seed, epoch])
    steps = -(-max(len(fold.train) for fold in folds) // size)
    table = np.full((len(folds), steps * size), -1)
    for member, fold in enumerate(folds):
        table[member, : len(fold.train)] = rng.permutation(fold.train)
    return list(table.reshape(len(folds), steps, size).swapaxes(0, 1))


if __name__ == "__main__":
    main()
