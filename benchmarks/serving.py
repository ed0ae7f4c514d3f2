"""A served classifier against the same model, eager, behind plain FastAPI: answers a second.

    python benchmarks/serving.py [--base minilm] [--seconds 5] [--run RUN]

Trains the demo's classifier on a base (or takes a run), serves it with each engine there is, and
lets one client ask (latency) and 32 clients ask at once (throughput), in turns. The rival is what a
team writes first: transformers' model of the same base with mean pooling and a linear head, called
in the handler. Server and clients share the machine.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import uvloop

PLAIN = """
import json, sys, torch, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import AutoModel, AutoTokenizer

folder, labels, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
tokenizer, network = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
head = torch.nn.Linear(network.config.hidden_size, labels)
app = FastAPI()

class Body(BaseModel):
    text: str

@app.post("/predict")
def predict(body: Body):
    with torch.no_grad():
        given = tokenizer(body.text, return_tensors="pt", truncation=True)
        states = network(**given).last_hidden_state
        odds = torch.softmax(head(states.mean(dim=1)), dim=-1)[0]
    return {"answer": int(odds.argmax()), "confidence": float(odds.max())}

uvicorn.run(app, port=port, log_level="error")
"""


async def ask(port, bodies, *, clients, seconds, path="/predict"):
    """Latencies in ms of all requests that clients made, each one after the other."""
    until, found = time.perf_counter() + seconds, []

    async def one(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        place = number
        while time.perf_counter() < until:
            body = json.dumps(bodies[place % len(bodies)]).encode()
            place += clients
            began = time.perf_counter()
            writer.write(
                f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\n\r\n".encode()
                + body
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head.split(b"\r\n", 1)[0], head
            size = next(
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            )
            await reader.readexactly(size)
            found.append((time.perf_counter() - began) * 1000)
        writer.close()

    await asyncio.gather(*(one(number) for number in range(clients)))
    return found


def at_once(asking):
    """Run clients on the quickest loop there is: they share the cores with the server."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asking)


async def ready(port):
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.2)
        else:
            writer.close()
            return
    raise SystemExit("a server did not start")


def train(base, root):
    from fucina import flow
    from fucina.recipe import load

    demo = Path(__file__).parents[1] / "src/fucina/demo/customer_support_it"
    recipe, _ = load(
        demo / "improved.yaml" if (demo / "improved.yaml").is_file() else next(demo.glob("*.yaml")),
        [f"model.base={base}", f"output={root}", "name=served", "folds.count=0"],
    )
    return Path(flow.train(recipe, demo).folder)


def exported(folder, root, texts):
    """Folders of the run's exports: in float32, and in eight bits too where that answers alike."""
    from fucina.export.onnx import write
    from fucina.models import threads
    from fucina.opening import load_model

    with threads.start() as pool:
        _, model = load_model(folder, workers=threads.count(pool))
        found = {"fucina onnx": write(model, root / "wide" / "served-onnx").path}
        written = write(model, root / "narrow" / "served-onnx", int8_rows=texts)
    for check in written.checks:
        print(f"eight bits: {check.value:.4f} equal, {check.note}")
    if "model.int8.onnx" in written.bytes:
        found["fucina onnx int8"] = written.path
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", default="minilm")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--run", type=Path)
    args = parser.parse_args()
    from fucina import run
    from fucina.models import source
    from fucina.using import test_set

    root = Path(tempfile.mkdtemp())
    folder = args.run or train(args.base, root)
    texts = test_set(folder).prompts
    bodies = [{"text": text} for text in texts]
    labels = run.read_json(folder / "data.json")["labels"]
    ways = {
        name: [sys.executable, "-m", "fucina", "serve", str(place), "reload_s=0"]
        for name, place in {"fucina torch": folder, **exported(folder, root, texts)}.items()
    }
    plain = root / "plain.py"
    plain.write_text(PLAIN)
    ways["plain FastAPI"] = [
        sys.executable,
        str(plain),
        str(source.locate(args.base)),
        str(len(labels)),
    ]
    found = {(clients, name): [] for clients in (1, 32) for name in ways}
    for turn in range(args.turns):
        for number, (name, words) in enumerate(ways.items()):
            # One server at a time: those that wait would be taken out of memory, and come back late.
            port = 18300 + 10 * turn + number
            last = f"port={port}" if "fucina" in name else str(port)
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            process = subprocess.Popen([*words, last], env=os.environ, **quiet)
            try:
                at_once(ready(port))
                at_once(ask(port, bodies, clients=32, seconds=1))
                for clients in (1, 32):
                    found[clients, name].append(
                        at_once(ask(port, bodies, clients=clients, seconds=args.seconds))
                    )
            finally:
                process.kill()
                process.wait()
    for (clients, name), turns in found.items():
        every = sorted(ms for turn in turns for ms in turn)
        rate = median(len(turn) / args.seconds for turn in turns)
        print(f"{clients:2} clients, {name}: p50 {every[len(every) // 2]:.1f} ms, "
              f"p95 {every[int(0.95 * len(every))]:.1f} ms, {rate:.0f} a second")  # fmt: skip


if __name__ == "__main__":
    main()
