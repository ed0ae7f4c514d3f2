"""How much memory and disk a run takes at its fullest, part by part, in MiB."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fucina.models.packed import BYTES
from fucina.models.word_loss import BLOCK_BYTES
from fucina.plan.network import Network
from fucina.plan.pairs import source_bytes
from fucina.plan.shapes import Shapes
from fucina.plan.work import Work

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["LIBRARIES_MIB", "disk", "memory", "store_bytes"]

MIB = 2**20
LIBRARIES_MIB = 440  # Python, torch, transformers, tokenizers
LATER_MIB = 110  # scikit-learn and matplotlib, imported when they are first used
CONTEXT_MIB = 600  # of CUDA and its libraries on the GPU
# Fitted to the peaks of 13 recipes, the largest error 11 % (docs/log.md): compiled
# products of every size of pass, and the holes that tensors of many sizes leave.
CACHES_MIB = 50
SIZE_MIB = 9.3  # a size of pass
SIZES = 60  # at most
HOLES = 1.57  # times what the largest pass keeps
NGRAMS = 40_000  # the most that a lexicon takes
NGRAM_BYTES = 45  # a character of text: its n-grams, counted once for all and once a fold
BLOCKS = 3  # of logits at once: as they come, as odds, and one of the two in float32
UNCUT = 4  # the same for a head that is trained, whose logits are kept whole for the way back
SAVED = 8  # hidden states a layer keeps for its backward pass, beside what its products put out


def store_bytes(shapes: Shapes, network: Network) -> float:
    """What stored activations of the frozen layers would take; 0 where none are frozen."""
    tables = [shapes.reading] if network.trunk else []
    if shapes.texts.sources is not None and network.encoder is not None and network.encoder.trunk:
        tables.append(shapes.texts.sources.reading)
    tokens = sum(float((table[:, 0] * table[:, 1]).sum()) for table in tables)
    return (tokens + (shapes.texts.prefix if network.trunk else 0)) * network.width * 4


def memory(
    work: Work, recipe: "Recipe", *, weight_bytes: int, workers: int, gpu: bool
) -> Mapping[str, float]:
    """The parts of the memory that training holds at its fullest, in MiB.

    Args:
        work: What is done.
        recipe: How.
        weight_bytes: Of a frozen number: 4, or 2 in bfloat16.
        workers: Threads that run passes.
        gpu: Count what is on the GPU, instead of what is in RAM.
    """
    shapes, network = work.shapes, work.network
    numbers = work.trainable
    if recipe.adapter.kind == "full":
        numbers //= shapes.members  # one member after the other; the ends stay
    buffered = min(work.epochs, recipe.stopping.patience + 1)
    parts = len(shapes.training) / max(1, shapes.steps)  # each pass gives gradients of its own
    ends = 2 * (work.trainable - numbers)
    moments = _moment_bytes(recipe) / 4
    # Parameters (also of the stack that reads the texts), gradients, and the states of the last
    # epochs, of which one is the best; a GPU holds a state only while it is taken to RAM.
    always = 4 + moments if gpu else 3 + moments + buffered
    checkpoint = 4.0 * numbers * (1 + moments)  # copies of parameters and moments
    # Of a step cut in two, the longer pass ends long after the other; only of more are two at once.
    at_once = max(1, min(workers, 2, parts / 2))
    twice = recipe.engine.checkpointing is True
    passing = _pass_bytes(work, weight_bytes, twice=twice) * at_once
    passing += _beginning_bytes(work, parts, twice=twice)
    steps = 4.0 * numbers * parts + (passing if gpu else HOLES * passing)
    steps += _logit_bytes(work) * at_once
    writing = _writing_bytes(work, weight_bytes) * min(workers, len(shapes.texts.prompts))
    found = {
        "weights": (network.parameters - network.packed) * weight_bytes
        + network.packed * BYTES
        + network.largest * weight_bytes * workers,
        "members": 4.0 * (always * numbers + (0 if gpu else ends)),
        # What passes leave free in RAM is in pieces, and a checkpoint comes on top.
        "steps": max(steps, checkpoint, writing) if gpu else max(steps + checkpoint, writing),
    }
    if gpu:
        return {"libraries": CONTEXT_MIB, **{name: size / MIB for name, size in found.items()}}
    found["stored"] = store_bytes(shapes, network)
    found["scores"] = 4.0 * shapes.members * shapes.rows * shapes.labels
    if recipe.model.lexical and shapes.labels:
        tables = 16.0 * shapes.members * NGRAMS * shapes.labels
        found["n-grams"] = tables + NGRAM_BYTES * shapes.characters
    # Weights are read as they are stored, or in float32, and narrowed one after the other.
    read = network.parameters * (network.stored if network.packed else 4)
    found["while loading"] = max(0.0, read - sum(found.values()))
    mib = {name: size / MIB for name, size in found.items()}
    sizes = len(np.unique(shapes.training[:, 0] * shapes.training[:, 1]))
    caches = CACHES_MIB + SIZE_MIB * min(SIZES, sizes)
    return {"libraries": LIBRARIES_MIB + LATER_MIB, "caches": caches, **mib}


def _moment_bytes(recipe: "Recipe") -> float:
    """Of the two moments of a number; in 8 bits, 256 share a scale."""
    return 2 * (1 + 4 / 256) if recipe.engine.optimizer == "adamw_8bit" else 8


def _pass_bytes(work: Work, weight_bytes: int, *, twice: bool) -> float:
    """What the largest pass keeps for its way back; attention is kept in float32.

    Layers that are computed twice keep their inputs, and one of them at a time all the rest.
    """
    network, passes = work.network, work.shapes.training
    if not len(passes):
        return 0.0
    past = work.shapes.texts.prefix
    rows, length = passes[:, 0], passes[:, 1]
    layers = range(network.trunk, network.depth)
    pairs = float((rows * length * (length + past)).max()) * (1 if twice else len(layers))
    # Each row gets keys and values of its own behind those of the beginning.
    behind = float(rows.max()) * past * network.remembered * len(layers)
    tokens = float((rows * length).max())
    own = (tokens * _kept(network, twice=twice) + behind) * (weight_bytes + 4) / 2 + pairs * 4
    return own + source_bytes(work.shapes, network, SAVED, weight_bytes)


def _kept(network: Network, *, twice: bool) -> float:
    """Numbers that the trained layers keep of a token for its way back."""
    layers = range(network.trunk, network.depth)
    each = [network.outputs[layer] + SAVED * network.width for layer in layers]
    return float(network.width * len(each) + max(each, default=0) if twice else sum(each))


def _beginning_bytes(work: Work, parts: float, *, twice: bool) -> float:
    """What the shared beginning keeps for its way back, with the gradients that passes give it."""
    network, shapes = work.network, work.shapes
    layers = network.depth - network.trunk
    tokens = float(shapes.members * shapes.texts.prefix)
    return 4 * tokens * (_kept(network, twice=twice) + network.remembered * layers * (1 + parts))


def _logit_bytes(work: Work) -> float:
    """Logits of the largest pass: in blocks, or all of them where the head is trained."""
    network, shapes = work.network, work.shapes
    passes = shapes.training[:, 0] * shapes.training[:, 1]
    if not network.head or not len(passes):
        return 0.0
    learnt = float(passes.max()) * shapes.texts.learnt / float(passes.sum())
    whole = 4.0 * learnt * network.head / network.width
    return UNCUT * whole if network.trains_head else BLOCKS * min(whole, BLOCK_BYTES)


def _writing_bytes(work: Work, weight_bytes: int) -> float:
    """Keys and values of a batch that is written, and the odds of its next tokens."""
    network, texts = work.network, work.shapes.texts
    if not len(texts.prompts):
        return 0.0
    rows = texts.prompts[:, 0] * work.shapes.members
    length = texts.begun + texts.prompts[:, 1] + texts.most
    numbers = float(network.remembered * network.depth)
    cache = numbers * weight_bytes * float((rows * length).max())
    odds = 2.0 * 8 * float(rows.max()) * network.head / network.width
    return 2 * cache + odds  # a longer cache is made beside the one before


def disk(work: Work, recipe: "Recipe") -> Mapping[str, float]:
    """What the run folder holds, in MiB; the checkpoint is gone when the run is complete."""
    shapes = work.shapes
    epochs = work.epochs
    buffered = min(epochs, recipe.stopping.patience + 1)
    has_ngrams = recipe.model.lexical and shapes.labels
    lexical = shapes.members * NGRAMS * (4 * shapes.labels + 8) if has_ngrams else 0
    numbers = work.trainable
    members = 4.0 * numbers + lexical + (0.6 * MIB if lexical else 0)
    every = 4.0 * numbers * (epochs + 1) if recipe.stopping.save_every_epoch else 0.0
    held = shapes.rows + shapes.test_rows
    predictions = held * (8 * shapes.labels + shapes.characters / max(1, shapes.rows))
    return {
        "members": members / MIB,
        "every epoch": every / MIB,
        "checkpoint": numbers * (12 + _moment_bytes(recipe) + 4.0 * buffered) / MIB,
        "predictions and report": (predictions + 2 * 150_000) / MIB,
    }
