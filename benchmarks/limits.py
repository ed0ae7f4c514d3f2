"""The limits that served models must keep on a CPU, over HTTP: 100 ms, 10 a second, 3 s, 12 GB.

    python benchmarks/limits.py [--seconds 10] [--turns 3]

Trains the demo's Italian classifier (ten members on favilla-encoder) and the sample chat of
`fucina new` (favilla), and serves both at once by PyTorch, as `fucina serve RUN RUN` does. One
client asks for labels, then 32; then one asks for whole answers of up to 96 tokens.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from serving import ask, at_once, ready

from fucina import flow
from fucina.recipe import load
from fucina.using import test_set

DEMO = Path(__file__).parents[1] / "src" / "fucina" / "demo" / "customer_support_it"
FUCINA = [sys.executable, "-m", "fucina"]
PORT = 18390


def trained(root):
    """Runs of a classifier and of a writer."""
    subprocess.run([*FUCINA, "new", root / "chat", "--task", "chat"], check=True)
    found = []
    for place, name in ((DEMO, "improved.yaml"), (root / "chat", "recipe.yaml")):
        recipe, _ = load(place / name, [f"output={root / 'runs'}"])
        found.append(Path(flow.train(recipe, place).folder))
    return found


def told(what, turns, seconds):
    every = sorted(ms for turn in turns for ms in turn)
    rate = median(len(turn) / seconds for turn in turns)
    print(f"{what}: p50 {every[len(every) // 2]:.1f} ms, p95 {every[int(0.95 * len(every))]:.1f} ms, "
          f"longest {every[-1]:.1f} ms, {rate:.1f} a second")  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        labels, talk = trained(Path(root))
        process = subprocess.Popen(
            [*FUCINA, "serve", labels, talk, f"port={PORT}", "reload_s=0", "timeout_s=60"],
            env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            at_once(ready(PORT))
            texts = [
                {"model": labels.parent.name, "text": text} for text in test_set(labels).prompts
            ]
            asked = [row.messages[:-1] for row in test_set(talk).examples]
            chats = [
                {"model": talk.parent.name,
                 "messages": [{"role": turn.role, "content": turn.content} for turn in turns]}
                for turns in asked
            ]  # fmt: skip
            ways = {
                "labels, 1 client": (texts, 1, "/predict"),
                "labels, 32 clients": (texts, 32, "/predict"),
                "whole answers, 1 client": (chats, 1, "/v1/chat/completions"),
            }
            found = {name: [] for name in ways}
            for turn in range(args.turns + 1):
                for name, (bodies, clients, path) in ways.items():
                    asking = ask(PORT, bodies, clients=clients, seconds=args.seconds, path=path)
                    times = at_once(asking)
                    if turn:  # the first turn warms
                        found[name].append(times)
            for name, turns in found.items():
                told(name, turns, args.seconds)
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
            print(f"memory of the server at most: {int(peak.split()[1]) / 1024:.0f} MiB")
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
