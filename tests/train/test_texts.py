"""Texts: the shared beginning, the frozen trunk and the small head are the plain way, exactly."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from fucina.config import AdapterConfig
from fucina.models.build import build
from fucina.models.conversations import write
from fucina.models.trunk import text_activations
from fucina.records import Example, Fold, Message
from fucina.train.batches import at_most, chunks
from fucina.train.members import Loop
from fucina.train.texts import TEXTS, TextMaterial

# Sums in another order differ in the last bits of float32; 1e-5 is a hundred times that.
TOLERANCE = 1e-5
KINDS = ("llama", "qwen3", "gemma3", "mistral", "phi", "gpt2", "gpt_bigcode")
SYSTEM = "Sei Nerina, guardiana del faro: parli poco, da marinaia, e dici sempre che tempo fa."
SAID = [
    ("Com'è il mare?", "Grosso."), ("Posso uscire in barca?", "No, gira a libeccio."),
    ("Che luce è quella?", "La testa del molo."), ("Hai paura?", "La paura tiene asciutti, figliolo."),
    ("Quando accendi?", "Al tramonto."), ("E la nebbia?", "Porta un libro."),
]  # fmt: skip


def _rows():
    rows = [
        Example.of_conversation(
            [Message("system", SYSTEM), Message("user", asked), Message("assistant", said)]
        )
        for asked, said in SAID
    ]
    longer = [Message("system", SYSTEM)]
    for asked, said in SAID[:3]:
        longer += [Message("user", asked), Message("assistant", said)]
    return [*rows, Example.of_conversation(longer)]


def _loop(base, config, folds, *, shared, stored=False, pool=None):
    written = write(_rows(), base.template, max_length_tokens=256)
    assert written.prefix > 16
    if not shared:
        written = written.without_prefix()
    stack = build(base, config, members=len(folds), labels=0, seed=0, workers=2)
    generator = torch.Generator().manual_seed(1)
    if config.kind == "lora":
        stack.bind(
            torch.empty_like(stack.adapters).normal_(0, 0.05, generator=generator), stack.heads
        )
    store, first = text_activations(stack.trunk, written, threads=pool) if stored else (None, None)
    material = TextMaterial(written, tuple(folds), store, first)
    members = [type("Active", (), {"index": i})() for i in range(len(folds))]
    return Loop(stack, material, TEXTS, members, None, 8, 8)


def _gradients(loop, batch, pool):
    parts = at_most(chunks(batch, loop.material.lengths), 8)
    weights = np.where(batch >= 0, loop.material.weights[batch], 0.0).sum(axis=1)
    adapters, heads, losses = TEXTS.gradients(loop, parts, weights, pool, 7)
    assert heads.shape[1] == 0
    return adapters, losses / weights


def _plainly(base, loop, member, rows):
    """Whole rows, one after the other, all logits, and the mean over the learnt tokens."""
    stack, written = loop.stack, loop.material.written
    one = build(base, _plain_config(stack), members=1, labels=0, seed=0, workers=1)
    one.bind(stack.adapters[member : member + 1].clone(), stack.heads[member : member + 1].clone())
    network = one.replicas[0].network
    layers = network.get_submodule(base.layers)
    for index in range(one.depth):
        layers[index] = base.network.get_submodule(base.layers)[index]
    losses = []
    for row in rows:
        ids = torch.from_numpy(written.ids[row])[None]
        logits = network(input_ids=ids).logits[0]
        learnt = torch.from_numpy(written.learnt[row])
        each = functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="none")
        losses.append(each[learnt[1:]])
    loss = torch.cat(losses).mean()
    found = torch.autograd.grad(loss, one.leaves)
    return one.split_gradients(list(found))[0][0], loss.item()


CONFIGS = {
    "all": AdapterConfig(layers="all", rank=4),
    "top": AdapterConfig(layers=2, rank=4),
    "full": AdapterConfig(kind="full", layers="all"),
    "full top": AdapterConfig(kind="full", layers=1),
}
_used = {}


def _plain_config(stack):
    return _used[id(stack)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_shared_beginning_and_small_head_give_the_loss_and_gradients_of_the_plain_way(
    kind, name, load_decoder, pool
):
    base, config = load_decoder(kind), CONFIGS[name]
    fold = Fold(tuple(range(7)), (0,))
    loop = _loop(base, config, [fold], shared=True, stored="top" in name, pool=pool)
    _used[id(loop.stack)] = config
    found, losses = _gradients(loop, np.arange(7)[None], pool)
    expected, loss = _plainly(base, loop, 0, range(7))
    assert losses[0] == pytest.approx(loss, abs=TOLERANCE)
    assert torch.allclose(found[0], expected, atol=TOLERANCE)
    assert expected.abs().max() > 100 * TOLERANCE  # the comparison would see a difference


@pytest.mark.parametrize("kind", KINDS)
def test_members_of_a_stack_have_the_gradients_they_have_alone(kind, load_decoder, pool):
    base, config = load_decoder(kind), CONFIGS["top"]
    folds = [Fold((0, 1, 2), (3,)), Fold((3, 4, 6), (0,)), Fold((5,), (1,))]
    loop = _loop(base, config, folds, shared=True, stored=True, pool=pool)
    _used[id(loop.stack)] = config
    batch = np.array([[0, 1, 2], [3, 4, 6], [5, -1, -1]])
    found, losses = _gradients(loop, batch, pool)
    for member, fold in enumerate(folds):
        expected, loss = _plainly(base, loop, member, fold.train)
        assert losses[member] == pytest.approx(loss, abs=TOLERANCE)
        assert torch.allclose(found[member], expected, atol=TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_loss_is_that_of_whole_rows(kind, load_decoder, pool):
    base, config = load_decoder(kind), CONFIGS["top"]
    folds = [Fold((0,), (1, 2, 6)), Fold((1,), (3, 4))]
    loop = _loop(base, config, folds, shared=True, stored=True, pool=pool)
    _used[id(loop.stack)] = config
    with torch.no_grad():
        judged = TEXTS.judge(loop, pool, False)
    for member, fold in enumerate(folds):
        _, loss = _plainly(base, loop, member, fold.held_out)
        assert judged[member].loss == pytest.approx(loss, abs=TOLERANCE)
        assert judged[member].scores["perplexity"] == pytest.approx(np.exp(loss), rel=1e-4)
        assert (
            judged[member].answers[:, 1].tolist()
            == loop.material.weights[list(fold.held_out)].tolist()
        )
