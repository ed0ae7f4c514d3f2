"""Strict F1 on public sets of named entities, beside what is free.

    python benchmarks/entities.py DATA [rows] [base ...] [--json FILE]

DATA holds `ner_kind_it` (KIND, Italian news) and `ner_wnut17_en` (WNUT 17, English social media)
as their authors publish them. The first `rows` training sentences of each are learnt (2,000) and
1,000 test sentences judged. `base` is a name or folder, or `decoder`: a small one that is first
taught the words of the KIND news in minutes, so that it stands in for a pretrained one; `base+` lets
a decoder look ahead. Settings such as training.epochs=3 go to every run.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from fucina import flow
from fucina.recipe import parse
from fucina.tasks.entities.baselines import spacy_models

SETS = {
    "KIND": ("ner_kind_it/evalita-2023", "WN_train.tsv", "WN_test.tsv"),
    "WNUT 17": ("ner_wnut17_en", "wnut17train.conll", "emerging.test.annotated"),
}
TEST = 1000
PASSES = 4


def head(source, place, sentences):
    """The first sentences of a file with a word a line."""
    kept, count = [], 0
    for line in source.read_text(encoding="utf-8").splitlines():
        kept.append(line)
        count += not line.strip()
        if count == sentences:
            break
    place.write_text("\n".join(kept) + "\n", encoding="utf-8")


def decoder(data, place):
    """A decoder of 2.6 million weights that has read the KIND news, word after word."""
    import torch
    import transformers

    from fucina.data.conll import read_conll
    from fucina.models import scratch

    source = data / SETS["KIND"][0] / SETS["KIND"][1]
    texts = [row["text"] for _, row in read_conll(source, "utf-8")[0]]
    scratch.SIZE.update(hidden_size=192, intermediate_size=512)
    folder = scratch.make(place, texts, seed=0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModelForCausalLM.from_pretrained(folder)
    stream = torch.tensor([t for text in texts for t in [*tokenizer(text)["input_ids"], 2]])
    blocks = stream[: len(stream) // 128 * 128].view(-1, 128)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(0)
    for epoch in range(PASSES):
        losses = []
        for part in torch.randperm(len(blocks), generator=generator).split(16):
            loss = network(input_ids=blocks[part], labels=blocks[part]).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step(), optimizer.zero_grad()
            losses.append(loss.item())
        print(f"decoder: pass {epoch + 1}, {sum(losses) / len(losses):.2f} nats", file=sys.stderr)
    network.save_pretrained(folder)
    return str(folder)


def judged(data, name, rows, base, more):
    folder, train, test = SETS[name]
    with TemporaryDirectory() as place:
        root = Path(place)
        head(data / folder / train, root / "train.conll", rows)
        head(data / folder / test, root / "test.conll", TEST)
        ahead = base.endswith("+")
        text = (
            f"{{task: entities, name: b, output: '{place}/runs', data: {{train: train.conll, "
            f"test: test.conll, allow_duplicates: true}}, model: {{base: '{base.rstrip('+')}', "
            f"look_ahead: {str(ahead).lower()}}}, adapter: {{layers: all}}, "
            "training: {epochs: 6, learning_rate: 3e-4}, evaluation: {bootstrap_samples: 300}}"
        )
        began = time.perf_counter()
        return flow.train(parse(text, more)[0], root), time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--json", type=Path, help="where strict F1 is kept too, for a card")
    arguments = parser.parse_args()
    data, rest, kept = arguments.data, arguments.rest, {}
    more = [argument for argument in rest if "=" in argument]
    rest = [argument for argument in rest if "=" not in argument]
    rows = int(rest[0]) if rest and rest[0].isdigit() else 2000
    bases = [argument for argument in rest if not argument.isdigit()] or ["minilm"]
    if any(base.startswith("decoder") for base in bases):
        made = decoder(data, Path(mkdtemp()))
        bases = [base.replace("decoder", made) for base in bases]
    free = ["majority", "gazetteer", "forms", *(["spacy"] if spacy_models() else [])]
    print(f"| set | base | strict F1 | partial F1 | {' | '.join(free)} | seconds |")
    print("|---|---|---|---|" + "---|" * len(free) + "---|")
    for name in SETS:
        for base in bases:
            outcome, seconds = judged(data, name, rows, base, more)
            known = {b.name: b.scores["f1"].value for b in outcome.baselines}
            scores = outcome.model.scores
            print(
                f"| {name} | {Path(base).name} | {scores['f1']} | "
                f"{scores['partial_f1'].value:.3f} | "
                f"{' | '.join(f'{known[one]:.3f}' for one in free)} | {seconds:.0f} |",
                flush=True,
            )
            kept.setdefault(Path(base).name, {})[name] = scores["f1"].value
            if arguments.json:
                arguments.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
