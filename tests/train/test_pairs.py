"""Encoder-decoders: buckets, the frozen halves kept, and the small head are the plain way, exactly."""

import numpy as np
import pytest
import torch
import transformers

from fucina.config import AdapterConfig
from fucina.models.build import build
from fucina.models.pairs import assemble_pairs, pair
from fucina.models.reader import foretell_pairs, keep
from fucina.models.word_loss import token_losses
from fucina.records import Example, Fold, Message
from fucina.train.batches import at_most, chunks
from fucina.train.members import Loop
from fucina.train.pairs import PAIRS, PairMaterial

# Sums in another order differ in the last bits of float32; 1e-5 is a hundred times that.
TOLERANCE = 1e-5
KINDS = ("t5", "flan-t5", "mt5", "codet5", "bart", "mbart", "pegasus")
SAID = [
    ("com'è il mare?", "grosso."), ("posso uscire in barca domani mattina?", "no, gira a libeccio."),
    ("che luce è quella?", "la testa del molo."), ("hai paura?", "la paura tiene asciutti, figliolo."),
    ("quando accendi?", "al tramonto."), ("e la nebbia?", "porta un libro."),
]  # fmt: skip
ROWS = [Example(asked, said) for asked, said in SAID]
LONG = [Message("user", SAID[0][0]), Message("assistant", SAID[0][1]), Message("user", SAID[1][0]),
        Message("assistant", SAID[1][1])]  # fmt: skip
ROWS.append(Example.of_conversation(LONG))


def _pairs(base):
    return pair(ROWS, base.template, max_length_tokens=128)


def _stack(base, config, members=1):
    stack = build(base, config, members=members, labels=0, seed=0, workers=2)
    if config.kind == "lora":
        generator = torch.Generator().manual_seed(1)
        noise = torch.empty_like(stack.adapters).normal_(0, 0.05, generator=generator)
        stack.bind(noise, stack.heads)
    return stack


def _loop(base, config, folds, *, pool=None):
    pairs, stack = _pairs(base), _stack(base, config, len(folds))
    kept = keep(stack.reader, pairs, threads=pool) if pool and stack.reader else None
    material = PairMaterial(pairs, tuple(folds), kept)
    members = [type("Active", (), {"index": i})() for i in range(len(folds))]
    return Loop(stack, material, PAIRS, members, None, 8, 8)


def _gradients(loop, batch, pool):
    parts = at_most(chunks(batch, loop.material.lengths), 8)
    weights = np.where(batch >= 0, loop.material.weights[batch], 0.0).sum(axis=1)
    adapters, heads, losses = PAIRS.gradients(loop, parts, weights, pool, 7)
    assert heads.shape[1] == 0
    return adapters, losses / weights


def _plainly(base, loop, config, member, rows):
    """Row by row through the whole network, and its own loss from labels."""
    stack, pairs = loop.stack, loop.material.pairs
    one = build(base, config, members=1, labels=0, seed=0, workers=1, whole=True)
    one.bind(stack.adapters[member : member + 1].clone(), stack.heads[member : member + 1].clone())
    network, losses, tokens = one.replicas[0].network, 0.0, 0
    for row in rows:
        source, target = (
            torch.from_numpy(side[row])[None] for side in (pairs.sources, pairs.targets)
        )
        # In transformers the loss of a row is the mean over its tokens.
        losses = losses + network(input_ids=source, labels=target).loss * target.shape[1]
        tokens += target.shape[1]
    loss = losses / tokens
    found = torch.autograd.grad(loss, one.leaves)
    return one.split_gradients(list(found))[0][0], loss.item()


CONFIGS = {
    "both": AdapterConfig(layers="all", rank=4),
    "top": AdapterConfig(layers=2, rank=4),
    "decoder": AdapterConfig(layers=9, rank=4),
    "full": AdapterConfig(kind="full", layers="all"),
    "full top": AdapterConfig(kind="full", layers=1),
    "full decoder": AdapterConfig(kind="full", layers=4),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_a_batch_is_that_of_transformers_from_labels(kind, load_pair, make_pair):
    base = load_pair(kind)
    plain = transformers.AutoModelForSeq2SeqLM.from_pretrained(make_pair(kind), dtype=torch.float32)
    pad = base.tokenizer.pad_token_id
    asked, said = [row.prompt for row in ROWS[:6]], [row.target for row in ROWS[:6]]
    sources = base.tokenizer(asked, padding=True, return_tensors="pt")
    labels = base.tokenizer(text_target=said, padding=True, return_tensors="pt")
    ids = labels["input_ids"].masked_fill(labels["attention_mask"] == 0, -100)
    with torch.no_grad():
        theirs = plain.eval()(
            input_ids=sources["input_ids"], attention_mask=sources["attention_mask"], labels=ids
        ).loss
    stack = build(base, AdapterConfig(layers="all"), members=1, labels=0, seed=0, workers=1)
    batch = assemble_pairs(_pairs(base), np.arange(6)[None], base, base.halves.start)
    assert batch.targets.tolist() == ids[ids >= 0].tolist()  # ends are among them
    assert (batch.targets == base.tokenizer.eos_token_id).sum() == 6
    assert (batch.sources == pad).any()
    with torch.no_grad():
        ours = token_losses(*foretell_pairs(stack, batch), batch.targets).mean()
    assert ours.item() == pytest.approx(theirs.item(), abs=TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("stored", [True, False], ids=["kept", "run each time"])
def test_shortcuts_give_the_loss_and_gradients_of_the_plain_way(
    kind, name, stored, load_pair, pool
):
    base, config = load_pair(kind), CONFIGS[name]
    loop = _loop(base, config, [Fold(tuple(range(7)), (0,))], pool=pool if stored else None)
    if not stored and loop.stack.reader is not None:
        assert loop.material.kept is None
    found, losses = _gradients(loop, np.arange(7)[None], pool)
    expected, loss = _plainly(base, loop, config, 0, range(7))
    assert losses[0] == pytest.approx(loss, abs=TOLERANCE)
    assert torch.allclose(found[0], expected, atol=TOLERANCE)
    assert expected.abs().max() > 100 * TOLERANCE  # the comparison would see a difference


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["both", "top"])
def test_members_of_a_stack_have_the_gradients_they_have_alone(kind, name, load_pair, pool):
    base, config = load_pair(kind), CONFIGS[name]
    folds = [Fold((0, 1, 2), (3,)), Fold((3, 4, 6), (0,)), Fold((5,), (1,))]
    loop = _loop(base, config, folds, pool=pool)
    batch = np.array([[0, 1, 2], [3, 4, 6], [5, -1, -1]])
    found, losses = _gradients(loop, batch, pool)
    for member, fold in enumerate(folds):
        expected, loss = _plainly(base, loop, config, member, fold.train)
        assert losses[member] == pytest.approx(loss, abs=TOLERANCE)
        assert torch.allclose(found[member], expected, atol=TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_loss_is_that_of_whole_rows(kind, load_pair, pool):
    base, config = load_pair(kind), CONFIGS["top"]
    folds = [Fold((0,), (1, 2, 6)), Fold((1,), (3, 4))]
    loop = _loop(base, config, folds, pool=pool)
    judged = PAIRS.judge(loop, pool, False)
    for member, fold in enumerate(folds):
        _, loss = _plainly(base, loop, config, member, fold.held_out)
        assert judged[member].loss == pytest.approx(loss, abs=TOLERANCE)
        assert judged[member].scores["perplexity"] == pytest.approx(np.exp(loss), rel=1e-4)
        weights = loop.material.weights[list(fold.held_out)]
        assert judged[member].answers[:, 1].tolist() == weights.tolist()


def test_what_frozen_layers_say_is_computed_once_and_not_in_a_step(load_pair, pool):
    loop = _loop(load_pair("t5"), CONFIGS["top"], [Fold(tuple(range(7)), (0,))], pool=pool)
    called = []
    network = loop.stack.replicas[0].network
    network.encoder.register_forward_hook(lambda *_: called.append("encoder"))
    for index, layer in enumerate(network.decoder.block):
        layer.register_forward_hook(lambda *_, index=index: called.append(index))
    loop.stack.borrow()  # so that all is run in the other
    loop.stack.borrow()
    loop.stack.give_back(0)
    _gradients(loop, np.arange(7)[None], pool)
    assert "encoder" not in called
    assert sum(parameter.numel() for parameter in network.decoder.block[1].parameters()) == 0
