"""What it costs to make one model of the members of a run: on the locked test set, and in time.

    python benchmarks/members.py [--folds 5] [--recipe RECIPE.yaml] [RUN]

Trains a recipe with folds (the demo's Italian classifier), or takes a run that has them, and exports
it in every way there is: the best member, the mean of their weights, one member distilled from all,
and all of them together as a graph. Says the score of each on the test rows, its interval, and how
long 100 rows take one after the other in the engine that answers.
"""

import argparse
import tempfile
import time
from pathlib import Path

from fucina import flow, run
from fucina.config import ShipConfig
from fucina.engines.onnx import open_engine
from fucina.recipe import load
from fucina.shipping import ship
from fucina.using import test_set

DEMO = (
    Path(__file__).parents[1] / "src" / "fucina" / "demo" / "customer_support_it" / "improved.yaml"
)
WAYS = ("best", "averaged", "distilled", "together")


def trained(recipe, folds, output):
    known, _ = load(recipe, [f"folds.count={folds}", f"output={output}"])
    return flow.train(known, recipe.parent).folder


def milliseconds(folder, prompts):
    """Of one text alone, the median of those of 100."""
    engine, taken = open_engine(folder, precision="float32"), []
    ask = engine.label if hasattr(engine, "label") else engine.mark
    for prompt in prompts[:100]:
        began = time.perf_counter()
        ask([prompt])
        taken.append((time.perf_counter() - began) * 1000)
    return sorted(taken)[len(taken) // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--recipe", type=Path, default=DEMO)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.run or trained(given.recipe, given.folds, f"{scratch}/runs")
        folder = run.find_complete(Path(folder))
        facts = run.read_json(folder / "metrics.json")
        whole = facts["model"]["scores"][facts["headline"]]
        print(f"{facts['headline']} of the run: {whole['value']:.3f} "
              f"[{whole['low']:.3f}, {whole['high']:.3f}]")  # fmt: skip
        print("members    to      score  interval        seconds  ms a text (onnx)")
        prompts = test_set(folder).prompts
        for members in WAYS:
            to = "onnx" if members == "together" else "merged"
            began = time.perf_counter()
            config = ShipConfig(precision="float32", members=members, int8=False)
            shipped = ship(folder, to, Path(scratch) / members, config=config)
            taken = time.perf_counter() - began
            check = next(one for one in shipped.proof.checks if one.name == facts["headline"])
            alone = "-"
            if members != "averaged":
                graph = Path(scratch) / f"{members}-graph"
                ship(folder, "onnx", graph, config=config.model_copy(update={"cases": 1}))
                alone = f"{milliseconds(graph, prompts):.1f}"
            interval = check.note.split("]")[0] + "]"
            print(f"{members:<10} {to:<7} {check.value:.3f}  {interval}  {taken:7.1f}  {alone}")


if __name__ == "__main__":
    main()
