"""Put the encoder of two languages into the package, with all that must go with it.

    python benchmarks/encoders.py DATA minilm FOLDER --json judged.json
    python benchmarks/entities.py DATA 800 minilm FOLDER --json entities.json
    python pretraining/favilla/ship_encoder.py FOLDER judged.json entities.json

Beside weights and tokenizer: the card, whose numbers are those of the two files, licence, the log of
the training, and the sums of all files.
"""

import json
import shutil
import sys
from pathlib import Path

from corpus_sources import SOURCES
from encoder import ENGLISH_FILES, ITALIAN_FILES, PAIRS, ROWS
from encoder_texts import Lexicon, written

from fucina.errors import RunError
from fucina.models.int8 import INT8
from fucina.models.source import locate, read_config, read_tokenizer
from fucina.models.sums import write_sums

OUT = Path(__file__).parents[2] / "src/fucina/bases/favilla-encoder"
MOST = 30_000_000  # bytes of the folder
CARD = """\
---
license: apache-2.0
language: [it, en]
library_name: transformers
pipeline_tag: feature-extraction
base_model: sentence-transformers/all-MiniLM-L6-v2
---
# favilla-encoder

A sentence encoder for Italian and English, embedded in Fucina as `model.base: favilla-encoder`: what
classification, entities and search start from when a recipe names no base.

It is [all-MiniLM-L6-v2](https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2) (Apache-2.0, by
the authors of Sentence Transformers, from Microsoft's MiniLM) with Italian words. **What was changed:**
{new:,} Italian word pieces were added and {dropped:,} unused ones taken out; the rows of the new ones, and of
{freed:,} old ones that are far more frequent in Italian (`e`, `della`), learnt; all other weights are as they
were, in eight bits instead of 32. So an English sentence has the vector it had.

| | |
|---|---|
| weights | {parameters:,} in eight bits, one scale a row: {size:.1f} MB |
| layout | BERT of transformers: {layers} layers of {width}; the mean of its states, 1 to {positions} tokens |
| words | {words:,}, WordPiece, without capitals and accents |
| training | {steps:,} steps, {minutes:.0f} minutes on two processor cores |

`fucina` reads its eight bits; for another tool:

```python
from fucina.models.source import locate, read

network, tokenizer = read("favilla-encoder", locate("favilla-encoder"))
network.save_pretrained("favilla-encoder")  # float32, as transformers has it
tokenizer.save_pretrained("favilla-encoder")
```

## How it learnt

An Italian text is to have the vector that MiniLM gives its English one (knowledge distillation of
Reimers and Gurevych 2020, here into the words alone). A new word begins at the row of what it is in
English. A step has {each}.
`training_log.jsonl` has the losses; again:

```text
python pretraining/favilla/corpus.py DATA CORPUS
python pretraining/favilla/encoder.py DATA CORPUS OUT --steps {steps}
```

- {pairs:,} pairs of sentences and passages, and {forms:,} Italian word forms with their English, written for
  it: `pretraining/favilla/pairs`, Apache-2.0. None of the pairs stands in a set it is judged by here.
- Texts of others, whose licences ask to be named:

{sources}

## How well it does

`benchmarks/encoders.py`: frozen, with logistic regression on its vectors (accuracy), and by nearness alone
(recall among the first five, nDCG at ten).

{judged}

`benchmarks/entities.py`, the first 800 sentences of KIND (Italian news) and WNUT 17 (English), strict F1:

{entities}

## What it is not for

Other languages than the two; other alphabets; long documents (it was taught texts of up to 160 tokens,
and takes {positions}). Where words themselves decide, as in search, BM25 beside it is better than either.
"""


def table(rows: dict[str, dict[str, float]], names: dict[str, str]) -> str:
    """A table of Markdown with a line a measure and a column a base."""
    measures = list(next(iter(rows.values())))
    lines = [f"| | {' | '.join(names.get(name, name) for name in rows)} |"]
    lines += ["|---|" + "---:|" * len(rows)]
    lines += [
        f"| {measure} | {' | '.join(f'{row[measure]:.3f}' for row in rows.values())} |"
        for measure in measures
    ]
    return "\n".join(lines)


def card(folder: Path, judged: Path, entities: Path) -> str:
    """The model card, from what was made and the numbers that were measured."""
    config, tokenizer = read_config("it", str(folder)), read_tokenizer("it", str(folder))
    old = set(read_tokenizer("minilm", locate("minilm")).get_vocab())
    log = [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]
    words = set(tokenizer.get_vocab())
    names = {folder.name: "favilla-encoder", "minilm": "MiniLM"}
    used = {*ENGLISH_FILES, *ITALIAN_FILES}
    sources = dict.fromkeys(f"- {s.origin}: {s.licence}" for s in SOURCES if s.name in used)
    each = ", ".join(f"{ROWS[name]} {said}" for name, said in (
        ("pairs", "translations"), ("mixed", "English sentences with Italian words in them"),
        ("passages", "passages of several of either"), ("words", "handfuls of words"),
    ))  # fmt: skip
    return CARD.format(
        new=len(words - old), dropped=len(old - words), freed=log[0]["free"] - len(words - old),
        parameters=log[0]["parameters"], size=(folder / INT8).stat().st_size / 1e6,
        layers=config.num_hidden_layers, width=config.hidden_size, words=len(words),
        positions=config.max_position_embeddings, steps=log[-1]["step"], minutes=log[-1]["s"] / 60,
        each=each, pairs=len(written(PAIRS)),
        forms=len(Lexicon(PAIRS / "words.tsv").english), sources="\n".join(sources),
        judged=table(json.loads(judged.read_text()), names),
        entities=table(json.loads(entities.read_text()), names),
    )  # fmt: skip


def ship(folder: Path, judged: Path, entities: Path) -> None:
    """Copy what the base needs to its place in the package.

    Raises:
        RunError: It is too large.
    """
    shutil.rmtree(OUT, ignore_errors=True)
    shutil.copytree(folder, OUT, ignore=shutil.ignore_patterns("sums.json"))
    (OUT / "README.md").write_text(card(folder, judged, entities), encoding="utf-8")
    shutil.copy(OUT.parents[3] / "LICENSE", OUT)
    size = sum(path.stat().st_size for path in OUT.rglob("*") if path.is_file())
    if size > MOST:
        raise RunError(f"the folder has {size:,} bytes, over {MOST:,}.", fix="Fewer words.")
    write_sums(OUT)


if __name__ == "__main__":
    ship(*map(Path, sys.argv[1:4]))
