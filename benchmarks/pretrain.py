"""Tokens a second of a pretraining step on this processor, by how attention is computed.

    python benchmarks/pretrain.py [--rounds 5]

The network and rows of `pretraining/favilla/recipe.yaml`, forward and backward, in bfloat16; attention
as PyTorch computes it in bfloat16, in float32, and in blocks of queries; each compiled and not.
Rounds are interleaved and medians compared, because the machine may be shared.
"""

import argparse
import copy
import statistics
import time
from pathlib import Path

import torch
from torch.nn import functional

from fucina.models.attention import widen
from fucina.pretrain.attention import attend_in_blocks
from fucina.pretrain.network import build
from fucina.pretrain.recipe import load

RECIPE = Path(__file__).parents[1] / "pretraining/favilla/recipe.yaml"
ATTENTION = {"bfloat16": lambda _: None, "float32": widen, "blocks": attend_in_blocks}


def passes(network, ids, *, compiled):
    """A function that computes all gradients of one batch."""
    weights = list(network.parameters())

    def loss_of(given, following):
        hidden = network.model(input_ids=given, use_cache=False).last_hidden_state
        logits = network.lm_head(hidden).flatten(0, 1).float()
        return functional.cross_entropy(logits, following.flatten())

    run = torch.compile(loss_of, dynamic=False) if compiled else loss_of
    return lambda: torch.autograd.grad(run(ids[:, :-1], ids[:, 1:]), weights)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    recipe = load(RECIPE)
    training = recipe.training
    torch.manual_seed(0)
    ids = torch.randint(
        3, recipe.words.vocabulary, (training.rows_at_once, training.length_tokens + 1)
    )
    network = build(recipe.network, vocabulary=recipe.words.vocabulary, end=2, pad=0, seed=0)
    jobs, times = {}, {}
    for compiled in (False, True):
        for name, change in ATTENTION.items():
            own = copy.deepcopy(network).bfloat16()
            change(own)
            job = passes(own, ids, compiled=compiled)
            job()
            jobs[name, compiled], times[name, compiled] = job, []
    for _ in range(rounds):
        for key, job in jobs.items():
            began = time.perf_counter()
            job()
            times[key].append(time.perf_counter() - began)
    tokens = training.rows_at_once * training.length_tokens
    plain = statistics.median(times["bfloat16", False])
    print("| attention | compiled | tokens/s | times bfloat16, not compiled |")
    print("|---|---|---:|---:|")
    for (name, compiled), taken in times.items():
        middle = statistics.median(taken)
        print(
            f"| {name} | {'yes' if compiled else 'no'} | {tokens / middle:,.0f} | {plain / middle:.2f} |"
        )


if __name__ == "__main__":
    main()
