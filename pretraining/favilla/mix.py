"""Which mix of the texts foretells best: a small network learns each, and all are judged alike.

    python pretraining/favilla/mix.py pretraining/favilla/recipe.yaml 2000000
    python pretraining/favilla/mix.py pretraining/favilla/recipe.yaml 2000000 tasks

Prints bits a byte of held-out texts for each domain and language, and their mean. How often each
file is read is changed, nothing else; the recipe has the passes that were chosen.
"""

import sys
from pathlib import Path

import numpy as np

from fucina.pretrain import recipe as recipes
from fucina.pretrain.fit import Hooks, Rows, fit, order
from fucina.pretrain.judge import bits_a_byte
from fucina.pretrain.network import build
from fucina.pretrain.texts import END, prepare

MIXES = {  # domain and language to passes
    "as it is": {},
    "balanced": {
        "novels en": 0.5, "technical it": 0.7, "commands it": 4, "commands en": 2,
        "dialogue en": 3, "summaries en": 3, "queries en": 2,
    },
    "tasks": {
        "novels en": 0.4, "novels it": 0.7, "technical it": 0.5, "commands it": 8,
        "commands en": 4, "dialogue en": 6, "summaries en": 6, "queries en": 6,
    },
    "tasks, more Italian": {
        "novels en": 0.3, "novels it": 1, "technical it": 0.6, "commands it": 8,
        "commands en": 4, "dialogue en": 6, "summaries en": 6, "queries en": 4,
    },
    "tasks, more": {
        "novels en": 0.25, "novels it": 0.5, "technical it": 0.35, "commands it": 16,
        "commands en": 8, "dialogue en": 10, "summaries en": 10, "queries en": 12,
    },
}  # fmt: skip
SHAPE = {"width": 128, "heads": 2, "key_value_heads": 1, "feed_forward": 320, "layers": 4}


def main(file: str, tokens: str, *wanted: str) -> None:
    """Learn each mix, or those that are named, and print a table."""
    path = Path(file)
    recipe = recipes.load(path)
    texts = prepare(recipe, path.parent, Path(recipe.output) / "mix" / "tokens")
    config = recipe.training.model_copy(
        update={"tokens": int(tokens), "batch_tokens": 8192, "rows_at_once": 16}
    )
    shape = recipe.network.model_copy(update=SHAPE)
    rows = Rows.of(texts.tokens, config.length_tokens)
    sources = np.array([shard.source for shard in texts.shards])[rows.starts[:, 0]]
    kinds = [f"{corpus.domain} {corpus.language}" for corpus in recipe.corpus]
    print("mix", *sorted(set(kinds)), "mean", sep=" | ", flush=True)
    for name in wanted or MIXES:
        passes = MIXES[name]
        network = build(
            shape, vocabulary=len(texts.tokenizer), end=texts.tokenizer.eos_token_id, pad=END,
            seed=recipe.seed,
        )  # fmt: skip
        often = np.array([float(passes.get(kind, 1)) for kind in kinds])
        seen = order(sources, often, config.tokens // config.length_tokens, recipe.seed)
        fit(network, rows, seen, config, Hooks(_quiet, _quiet, _quiet))
        bits: dict[str, list[float]] = {}
        for held in texts.held_out:
            found = bits_a_byte(
                network, held.tokens[:50_000], held.bytes * min(1, 50_000 / len(held.tokens)),
                length=config.length_tokens, begin=END,
            )  # fmt: skip
            bits.setdefault(f"{held.domain} {held.language}", []).append(found)
        means = [float(np.mean(bits[kind])) for kind in sorted(bits)]
        print(name, *(f"{m:.3f}" for m in [*means, np.mean(means)]), sep=" | ", flush=True)


def _quiet(*_: object) -> None:
    pass


if __name__ == "__main__":
    main(*sys.argv[1:])
