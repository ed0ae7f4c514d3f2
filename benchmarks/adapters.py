"""Two runs over one base: opened together, against each loaded by itself.

    python benchmarks/adapters.py [--layers 12] [--width 512] [--rows 24]

A Llama of random weights learns hashtags and summaries of the samples, an adapter each, for one epoch. Then one
process opens both runs, and one each of them alone. Each tells how much resident memory the open runs hold beyond
the libraries, and how much of that is private: the rest is the file of the weights, which the system maps and
which two processes share, while a second load in one process or on another machine does not. The answers of a
run must be the same both ways.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from fucina import flow, tasks
from fucina.models.scratch import make
from fucina.recipe import load

MIB = 1024
OPEN = """
import json, sys
from pathlib import Path
from fucina.models import threads
from fucina.opening import open_runs
import transformers.models.llama.modeling_llama

def held():
    rows = Path("/proc/self/smaps_rollup").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in rows[1:]}
    return sizes["Rss"], sizes["Private_Clean"] + sizes["Private_Dirty"]

asked = json.loads(sys.argv[1])
before = held()
with open_runs([Path(name) for name in sys.argv[2:]]) as opened:
    answers = {name: list(opened.predict(name, asked[name]).answers) for name in opened.names}
    threads.release()
    after = held()
own = [new - old for new, old in zip(after, before, strict=True)]
print(json.dumps({"resident": own[0], "private": own[1], "answers": answers}))
"""


def learn(folder, task, base, rows):
    """One run of a task; returns its folder."""
    source = tasks.folder(task)
    for side in ("sample", "test"):
        lines = (source / f"{side}.jsonl").read_text(encoding="utf-8").splitlines()[:rows]
        (folder / f"{task}_{side}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    recipe, _ = load(source / "recipe.yaml", [
        f"name={task}", f"model.base={base}", f"output={folder}/runs", "adapter.kind=lora",
        f"data.train={folder}/{task}_sample.jsonl", f"data.test={folder}/{task}_test.jsonl",
        "training.epochs=1", "training.learning_rate=1e-2", "chat.max_new_tokens=12",
        "evaluation.bootstrap_samples=100", "evaluation.baselines=[]",
    ])  # fmt: skip
    return flow.train(recipe, folder).folder


def opened(asked, *runs):
    """What a process holds that opens some runs, and what they answer."""
    command = [sys.executable, "-c", OPEN, json.dumps(asked), *runs]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    """Train, open and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rows", type=int, default=24)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base, size = decoder(folder, options)
        runs = {
            task: learn(folder, task, base, options.rows) for task in ("hashtags", "summarization")
        }
        asked = {
            task: [row["text" if task == "hashtags" else "dialogue"] for row in map(
                json.loads, (folder / f"{task}_test.jsonl").read_text("utf-8").splitlines()[:4])]
            for task in runs
        }  # fmt: skip
        together = opened(asked, *runs.values())
        alone = {task: opened(asked, run) for task, run in runs.items()}
    same = all(alone[task]["answers"][task] == together["answers"][task] for task in runs)
    print(f"base: {size / 1e6:.1f} million weights in float32, {4 * size / 2**20:.0f} MiB")
    for task, own in {**alone, "both": together}.items():
        parts = (f"{kind} {own[kind] / MIB:.0f} MiB" for kind in ("resident", "private"))
        print(f"{task}: {', '.join(parts)}")
    for kind in ("resident", "private"):
        apart = sum(own[kind] for own in alone.values())
        print(f"two loads hold {apart / together[kind]:.2f} times as much {kind} memory as one")
    print(f"answers equal to those alone: {same}")
    return 0 if same else 1


def decoder(folder, options):
    """A Llama of random weights with a tokenizer of the samples; its folder and size."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    texts = [
        text
        for task in ("hashtags", "summarization")
        for line in (tasks.folder(task) / "sample.jsonl").read_text(encoding="utf-8").splitlines()
        for text in json.loads(line).values()
        if isinstance(text, str)
    ]
    made = make(folder / "bases", texts, seed=0)
    config = LlamaConfig.from_pretrained(
        made, hidden_size=options.width, intermediate_size=4 * options.width,
        num_hidden_layers=options.layers, num_attention_heads=8, num_key_value_heads=8, head_dim=options.width // 8,
    )  # fmt: skip
    torch.manual_seed(0)
    network = LlamaForCausalLM(config)
    network.save_pretrained(made)
    return made, sum(parameter.numel() for parameter in network.parameters())


if __name__ == "__main__":
    sys.exit(main())
