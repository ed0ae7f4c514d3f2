"""Put a pretrained base into the package, with all that must go with it.

    python pretraining/favilla/ship.py bases/favilla src/fucina/bases/favilla

Beside weights and tokenizer: the card, whose numbers are those of the run, licence, data card, the
recipe, the log of the training, and the sums of all files.
"""

import json
import shutil
import sys
from pathlib import Path

from corpus_sources import SOURCES

from fucina.errors import RunError
from fucina.models.sums import write_sums
from fucina.pretrain import recipe as recipes
from fucina.run import read_events, read_json

HERE = Path(__file__).parent
LOG = "training_log.jsonl"
MOST = 40_000_000  # bytes of the weights
CARD = """\
---
license: apache-2.0
language: [it, en]
library_name: transformers
pipeline_tag: text-generation
---
# {name}

A small decoder for Italian and English, made with `fucina pretrain` and embedded in Fucina as
`model.base: {name}`. It is there so that a fine-tuning on a few hundred rows, without a network, need
not begin from random weights. It is no assistant: it knows words and turns, not the world, and what
it writes by itself is not to be believed or shown to anybody.

**Which one this is.** {which}

| | |
|---|---|
| weights | {parameters:,}, bfloat16, {size:.1f} MB |
| layout | {layout} of transformers: {layers} layers of {width}, {heads} heads, {shared} of keys and values |
| words | {words:,}, byte-level BPE, single digits, ChatML's turns |
| tokens seen | {tokens:,}, {length} at a time; of longer texts it has seen no position behind {length} |
| time | {hours:.1f} hours: {speed:,.0f} tokens a second |
| optimizer | {optimizer}, peak {rate}, {schedule} |

## Texts

{sources}

[DATA_CARD.md](DATA_CARD.md) says how they were cleaned, and what never went in: no test, dev or
validation part of anything, nothing under NC or ND.

## How well it foretells text it has not seen

Bits a byte, fewer are better. The 5-gram (modified Kneser-Ney) is learnt from the same tokens, each
text once; `untrained` is the same network before training.

| text | language | domain | {name} | 5-gram | untrained |
|---|---|---|---:|---:|---:|
{bits}

## What it writes

{count} beginnings, continued by drawing from the 40 likeliest tokens at temperature 0.8; none was
chosen, none was changed.

{samples}

## What it gains

The same recipe from this base, from the same network and words with random weights, and from a small
one whose words are those of the rows (`benchmarks/favilla.py DATA`; all rows in `docs/log.md`):

| | favilla | random weights | from nothing |
|---|---|---|---|
| SAMSum, ROUGE-L | 0.210 [0.195, 0.226] | 0.048 [0.040, 0.055] | 0.050 [0.042, 0.061] |
| Spider, right queries | 0.031 [0.015, 0.062] | 0.000 [0.000, 0.016] | 0.000 [0.000, 0.016] |
| Spider, perplexity | 6.1 | 24.2 | |
| summaries of the examples, ROUGE-L | 0.108 [0.081, 0.136] | 0.066 [0.038, 0.095] | 0.034 [0.019, 0.052] |
| persona of the examples, perplexity | 53.8 [46.0, 63.3] | 453.8 [358.8, 596.7] | |
| KIND, words tagged, F1 | 0.501 [0.473, 0.528] | 0.480 [0.449, 0.508] | |

Where it labels, the mean of its states is taken (`1_Pooling`): intents of Italian xSID 0.843
[0.808, 0.872] against 0.671 by the last one; from random weights 0.752 and 0.798. `favilla-encoder`
has 0.922.

## Licence

The weights are under the Apache License 2.0. Whoever gives them away names the sources above.
`recipe.yaml` and `training_log.jsonl` say how to make them again:

```text
python pretraining/favilla/corpus.py DATA pretraining/favilla/corpus
fucina pretrain pretraining/favilla/{recipe}
```
"""
WHICH = {
    "cpu": "The small one, made on two processor cores. `recipe_large.yaml` beside `recipe.yaml` in the "
    "repository is for a GPU; it has not been run.",
    "cuda": "The large one, made on a GPU.",
}


def card(run: Path, size: int, file: str, device: str) -> str:
    """The model card, from the recipe and the numbers of a run."""
    recipe, made = recipes.load(run / "recipe.yaml"), read_json(run / "metrics.json")
    shape, training = recipe.network, recipe.training
    names = {Path(corpus.path).name.partition(".")[0] for corpus in recipe.corpus}
    # Two sources may be one project's in two languages.
    sources = dict.fromkeys(f"- {s.origin}: {s.licence}" for s in SOURCES if s.name in names)
    bits = [
        f"| {name} | {b['language']} | {b['domain']} | {b['model']:.3f} | {b['5-gram']:.3f} | "
        f"{b['untrained']:.3f} |"
        for name, b in made["bits"].items()
    ]
    samples = [
        f"> **{_inline(begun)}**{_inline(written)}\n" for begun, written in made["samples"].items()
    ]
    return CARD.format(
        name=recipe.name, which=WHICH[device], parameters=made["parameters"], size=size / 1e6,
        layout=shape.layout, layers=shape.layers, width=shape.width, heads=shape.heads,
        shared=shape.key_value_heads, words=recipe.words.vocabulary, tokens=made["tokens"],
        length=training.length_tokens, hours=made["seconds"] / 3600,
        speed=made["tokens"] / made["seconds"], optimizer=training.optimizer,
        rate=training.learning_rate, schedule=training.schedule, sources="\n".join(sources),
        bits="\n".join(bits), count=len(samples), samples="\n".join(samples), recipe=file,
    )  # fmt: skip


def _inline(text: str) -> str:
    """A text in one line of Markdown, as it is."""
    for mark in "\\`*_<>|#":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ⏎ ")


def ship(run: Path, out: Path, file: str = "recipe.yaml", device: str = "cpu") -> None:
    """Copy what a base needs to a folder of its own.

    Raises:
        RunError: There is no finished run, or its weights are too large.
    """
    if not (run / "model").is_dir():
        raise RunError(f"{run} holds no finished model.", fix="fucina pretrain RECIPE --resume")
    size = (run / "model/model.safetensors").stat().st_size
    if size > MOST:
        raise RunError(f"the weights have {size:,} bytes, over {MOST:,}.", fix="Make it smaller.")
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(run / "model", out)
    # Intents of xSID by its frozen states: 0.843 by their mean, 0.671 by the last.
    (out / "1_Pooling").mkdir(exist_ok=True)
    pooling = {
        "word_embedding_dimension": recipes.load(run / "recipe.yaml").network.width,
        "pooling_mode_mean_tokens": True,
    }
    (out / "1_Pooling/config.json").write_text(json.dumps(pooling) + "\n", encoding="utf-8")
    (out / "README.md").write_text(card(run, size, file, device), encoding="utf-8")
    shutil.copy(HERE.parents[1] / "LICENSE", out)
    shutil.copy(HERE / "DATA_CARD.md", out)
    shutil.copy(HERE / file, out / "recipe.yaml")
    log = [json.dumps(event) + "\n" for event in read_events(run)]
    (out / LOG).write_text("".join(log), encoding="utf-8")
    write_sums(out)


if __name__ == "__main__":
    ship(*map(Path, sys.argv[1:3]), *sys.argv[3:])
