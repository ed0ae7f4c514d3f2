"""A classifier answered by PyTorch, ONNX Runtime, and ONNX Runtime in eight bits: how fast, how alike.

    python benchmarks/engines.py [--base favilla-encoder] [--folds 0] [--rounds 9] [--run RUN]

Trains the demo's Italian classifier (or takes a run of it), writes it as ONNX, and lets the engines
answer its test sentences in turns: one at a time, and 32 at once. Tokenizing and n-grams are part
of every answer. Medians over rounds; a machine that does something else shows in their range.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from fucina import flow
from fucina.engines.onnx import open_labeller
from fucina.engines.torch import TorchLabeller
from fucina.export.onnx import prove, write
from fucina.models import threads
from fucina.opening import load_model
from fucina.recipe import load

DEMO = Path(__file__).parents[1] / "src" / "fucina" / "demo" / "customer_support_it"
ALONE = 50  # sentences that are asked one at a time in each round


def trained(folder, base, folds):
    recipe, _ = load(
        DEMO / "improved.yaml",
        [f"model.base={base}", f"folds.count={folds}", f"output={folder}"],
    )
    return flow.train(recipe, DEMO).folder


def clock(answer, times):
    began = time.perf_counter()
    answer()
    times.append(time.perf_counter() - began)


def measure(engines, texts, rounds):
    """Milliseconds of an answer alone, and answers a second of 32 at once; by engine."""
    alone = {name: [] for name in engines}
    batched = {name: [] for name in engines}
    for number in range(rounds + 1):
        for name, engine in engines.items():
            own = []
            for text in texts[:: max(1, len(texts) // ALONE)]:
                clock(lambda engine=engine, text=text: engine.label([text]), own)
            parts = [texts[i : i + 32] for i in range(0, len(texts) - 31, 32)]
            together = []
            for part in parts:
                clock(lambda engine=engine, part=part: engine.label(part), together)
            if number:  # the first round warms
                alone[name].append(median(own) * 1000)
                batched[name].append(32 * len(parts) / sum(together))
    return alone, batched


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", default="favilla-encoder")
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--run", type=Path)
    asked = parser.parse_args()
    lines = (DEMO / "test.jsonl").read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    with tempfile.TemporaryDirectory() as place, threads.start() as pool:
        folder = Path(place)
        found = asked.run or trained(folder, asked.base, asked.folds)
        _, model = load_model(found, workers=threads.count(pool))
        written = write(model, folder / "onnx", int8_rows=texts)
        for check in (*written.checks, *prove(folder / "onnx", model, texts, threads=pool)):
            print(f"{check.engine:12} {check.name:24} {check.value:.5f} {check.note}")
        engines = {f"torch {model.base.precision}": TorchLabeller(model, pool)}
        engines["onnx"] = open_labeller(folder / "onnx", precision="float32")
        if "model.int8.onnx" in written.bytes:
            engines["onnx int8"] = open_labeller(folder / "onnx", precision="int8")
        sizes = {name: f"{size / 1e6:.1f} MB" for name, size in written.bytes.items()}
        print(f"{model.members} members of {model.base.name}; {sizes}")
        for name, own in zip(
            engines,
            zip(*map(dict.values, measure(engines, texts, asked.rounds)), strict=True),
            strict=True,
        ):
            one, many = (np.array(values) for values in own)
            print(
                f"{name:16} {median(one):7.2f} ms alone ({one.min():.2f} to {one.max():.2f})"
                f" {median(many):8.1f} texts/s of 32 ({many.min():.1f} to {many.max():.1f})"
            )


if __name__ == "__main__":
    main()
