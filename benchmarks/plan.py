"""How far `fucina plan` is off: five recipes, each planned and then trained for real.

    python benchmarks/plan.py [--rounds 3] [--cores 1] [--only a b]

Every plan and every training is a process of its own, one after the other, round after round, so
that whatever else runs on the machine falls on both. The true time is that of the whole process,
the true memory its largest resident set; medians over the rounds. With --cores 1 all run on one
core: where others use the machine too, that is less noisy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

DEMO = Path(__file__).parents[1] / "src/fucina/demo"
ITALIAN, ENGLISH = (DEMO / f"customer_support_{two}/improved.yaml" for two in ("it", "en"))
RECIPES = {
    "a": ("Italian, defaults", ITALIAN, ["folds.count=0"]),
    "b": ("Italian, 5 folds", ITALIAN, ["folds.count=5"]),
    "c": ("English, preset quality", ENGLISH, ["preset=quality"]),
    "d": ("English, all weights, batch 4", ENGLISH,
          ["folds.count=0", "adapter.kind=full", "adapter.layers=all", "training.batch_size=4"]),
    "e": ("English, cold, no n-grams, 8 epochs", ENGLISH,
          ["folds.count=0", "model.lexical=false", "training.start=cold", "training.epochs=8"]),
}  # fmt: skip


def run(*arguments):
    """Run fucina in a process of its own; returns its JSON, seconds and peak memory in MiB."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "fucina", *map(str, arguments), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    output, errors = process.communicate()
    if process.returncode:
        sys.exit(errors)
    return json.loads(output), time.perf_counter() - began


def once(path, overrides):
    """Estimated and true seconds, estimated and true MiB, seconds that planning took."""
    with TemporaryDirectory() as output:
        own = [*overrides, f"output={output}"]
        planned, spent = run("plan", path, *own)
        said = planned["options"][0]
        trained, seconds = run("train", path, *own)
        truth = json.loads((Path(trained["run"]) / "plan.json").read_text("utf-8"))["truth"]
    return {
        "said_s": said["total_s"], "true_s": seconds, "said_mib": said["peak_mib"],
        "true_mib": truth["peak_mib"], "plan_s": spent, "epochs": truth["epochs"],
        "stages": {
            stage: (round(said["seconds"][stage], 2), round(true, 2))
            for stage, true in truth["seconds"].items()
        },
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=0, help="0: all that there are")
    parser.add_argument("--only", nargs="*", default=list(RECIPES))
    parser.add_argument("--stages", action="store_true", help="print every stage of every round")
    options = parser.parse_args()
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    found = {key: [] for key in options.only}
    for number in range(options.rounds):
        for key in options.only:
            _, path, overrides = RECIPES[key]
            found[key].append(once(path, overrides))
            last = found[key][-1]
            print(
                f"round {number + 1} {key}: {last['said_s']:.1f} s planned, {last['true_s']:.1f} s "
                f"true; {last['said_mib']:.0f} and {last['true_mib']:.0f} MiB; planning took "
                f"{last['plan_s']:.1f} s; load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
            if options.stages:
                print("   ", last["stages"], flush=True)
    print(f"\n{options.rounds} round(s), {len(os.sched_getaffinity(0))} core(s), medians")
    print(
        f"{'recipe':38}{'planned':>9}{'true':>8}{'error':>7}{'planned':>11}{'true':>8}{'error':>7}"
    )
    for key, rounds in found.items():
        said_s, true_s, said, true = (
            statistics.median(one[name] for one in rounds)
            for name in ("said_s", "true_s", "said_mib", "true_mib")
        )
        print(
            f"{RECIPES[key][0]:38}{said_s:7.1f} s{true_s:6.1f} s{said_s / true_s - 1:+7.0%}"
            f"{said:7.0f} MiB{true:4.0f} MiB{said / true - 1:+7.0%}"
        )


if __name__ == "__main__":
    main()
