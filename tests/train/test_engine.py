"""The exact shortcuts: each gives the loss and gradients, or the weights, of the plain way."""

import dataclasses

import numpy as np
import pytest
import torch

from fucina.config import AdapterConfig, LossConfig, StoppingConfig, TrainingConfig
from fucina.errors import ResourceError, TrainingError
from fucina.models.build import build
from fucina.models.tokenize import encode
from fucina.models.trunk import activations, assemble
from fucina.records import Fold
from fucina.train.batches import chunks, epoch_batches
from fucina.train.fit import fit
from fucina.train.labels import LABELS, LabelMaterial, first_logits, held_out_logits
from fucina.train.loss import make_loss
from fucina.train.members import Hooks, Loop, Member
from fucina.train.optimizer import Optimizer
from fucina.train.stopping import BestModel, EarlyStopping

# Sums in another order differ in the last bits of float32; 1e-5 is a hundred times that.
TOLERANCE = 1e-5
TEXTS = [
    "dove ordine", "il pacco non arriva", "schermo nero", "voglio soldi indietro perché rotto",
    "stato pacco città", "app si blocca quando accende il schermo", "reso", "quanto costa la spedizione",
]  # fmt: skip
TARGETS = np.array([0, 0, 1, 2, 0, 1, 2, 0])
KINDS = ("bert", "llama", "gpt2", "gpt_bigcode")


def _material(base, folds, *, store=None):
    encoded = encode(TEXTS, base.tokenizer, max_length_tokens=32)
    offsets = np.zeros((len(folds), len(TEXTS), 3), dtype=np.float32)
    loss = make_loss("cross_entropy", LossConfig(), ("a", "b", "c"), torch.from_numpy(TARGETS))
    return LabelMaterial(encoded, TARGETS, tuple(folds), offsets, store, (loss,) * len(folds))


def _randomize(stack, seed=0):
    generator = torch.Generator().manual_seed(seed)
    adapters = torch.empty_like(stack.adapters).normal_(0, 0.05, generator=generator)
    heads = torch.empty_like(stack.heads).normal_(0, 0.1, generator=generator)
    stack.bind(adapters, heads)


def _gradients(stack, batch, targets):
    logits = stack.logits(batch)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    found = torch.autograd.grad(loss, stack.leaves)
    return loss.item(), torch.cat(stack.split_gradients(list(found)), dim=1)


@pytest.mark.parametrize("kind", KINDS)
def test_stored_activations_give_the_loss_and_gradients_of_running_every_layer(
    kind, load_base, pool
):
    base = load_base(kind)
    encoded = encode(TEXTS, base.tokenizer, max_length_tokens=32)
    rows, targets = np.arange(len(TEXTS))[None], torch.from_numpy(TARGETS)[None]
    config = AdapterConfig(layers=1, rank=4)
    stored, plain = (build(base, config, members=1, labels=3, seed=0, workers=1) for _ in range(2))
    _randomize(stored), _randomize(plain)
    store = activations(stored.trunk, encoded, threads=pool)
    pad = base.tokenizer.pad_token_id
    loss_stored, grad_stored = _gradients(
        stored, assemble(encoded, rows, pad, store=store), targets
    )
    # The plain way: every layer runs on the padded batch, no layer is replaced.
    plain.replicas[0].inject = None
    layers = plain.replicas[0].network.get_submodule(base.layers)
    for index in range(plain.depth):
        layers[index] = base.network.get_submodule(base.layers)[index]
    loss_plain, grad_plain = _gradients(plain, assemble(encoded, rows, pad), targets)
    assert loss_stored == pytest.approx(loss_plain, abs=TOLERANCE)
    assert torch.allclose(grad_stored, grad_plain, atol=TOLERANCE)
    assert grad_plain.abs().max() > 100 * TOLERANCE  # the comparison would see a difference


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_gives_each_member_the_gradients_it_has_alone(kind, load_base):
    base = load_base(kind)
    encoded = encode(TEXTS, base.tokenizer, max_length_tokens=32)
    config = AdapterConfig(layers="all", rank=4)
    together = build(base, config, members=3, labels=3, seed=0, workers=1)
    _randomize(together)
    rows = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 0]])
    pad = base.tokenizer.pad_token_id
    targets = torch.from_numpy(TARGETS[rows])
    loss, gradients = _gradients(together, assemble(encoded, rows, pad), targets)
    alone_losses = []
    for member in range(3):
        alone = build(base, config, members=1, labels=3, seed=0, workers=1)
        alone.bind(
            together.adapters[member : member + 1].clone(),
            together.heads[member : member + 1].clone(),
        )
        batch = assemble(encoded, rows[member : member + 1], pad)
        own_loss, own = _gradients(alone, batch, targets[member : member + 1])
        alone_losses.append(own_loss)
        assert torch.allclose(gradients[member], own[0] / 3, atol=TOLERANCE)
    assert loss == pytest.approx(np.mean(alone_losses), abs=TOLERANCE)


def test_the_adapted_layer_is_the_formula_of_lora(load_base):
    base = load_base("bert")
    stack = build(base, AdapterConfig(layers="all", rank=4), members=1, labels=3, seed=0, workers=1)
    _randomize(stack)
    path, slot = next(iter(stack.slots.items()))
    adapted = stack.replicas[0].network.get_submodule(path)
    linear = base.network.get_submodule(path)
    x = torch.randn(2, 5, 32)
    expected = linear(x) + (32.0 / 4) * (x @ slot.a[0].t() @ slot.b[0].t())
    assert torch.allclose(adapted(x), expected, atol=TOLERANCE)


def test_buckets_visit_each_row_once_and_pad_less_than_random_batches():
    lengths = np.random.default_rng(0).integers(3, 60, 400)
    fold = Fold(tuple(range(0, 400, 2)), tuple(range(1, 400, 2)))
    batches = epoch_batches(lengths, [fold], 16, seed=3, epoch=1)
    seen = np.concatenate([batch[0] for batch in batches])
    assert sorted(seen[seen >= 0]) == list(fold.train)
    again = epoch_batches(lengths, [fold], 16, seed=3, epoch=1)
    assert all((one == two).all() for one, two in zip(batches, again, strict=True))
    other = epoch_batches(lengths, [fold], 16, seed=3, epoch=2)
    assert any((one != two).any() for one, two in zip(batches, other, strict=True))

    def padded(groups):
        return sum(len(group) * lengths[group].max() for group in groups)

    bucketed = padded([batch[0][batch[0] >= 0] for batch in batches])
    shuffled = np.random.default_rng(1).permutation(fold.train)
    assert bucketed < 0.7 * padded(np.array_split(shuffled, len(batches)))


def test_cutting_a_step_into_chunks_keeps_its_loss_and_gradients(load_base):
    base = load_base("bert")
    encoded = encode(TEXTS, base.tokenizer, max_length_tokens=32)
    stack = build(base, AdapterConfig(layers="all", rank=4), members=1, labels=3, seed=0, workers=1)
    _randomize(stack)
    batch = np.array([[5, 1, 2, 3, 4, 0, 6, 7]])
    pad = base.tokenizer.pad_token_id
    _, whole = _gradients(stack, assemble(encoded, batch, pad), torch.from_numpy(TARGETS[batch]))
    parts = chunks(batch, encoded.lengths)
    assert len(parts) >= 2
    total = torch.zeros_like(whole)
    for part in parts:
        logits = stack.logits(assemble(encoded, part.rows, pad))
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), torch.from_numpy(TARGETS[part.rows]).flatten(), reduction="none"
        )
        loss = (losses * torch.from_numpy(part.counts).flatten()).sum() / batch.size
        total += torch.cat(stack.split_gradients(list(torch.autograd.grad(loss, stack.leaves))), 1)
    assert torch.allclose(total, whole, atol=TOLERANCE)


def _train(base, pool, *, members=2, save=lambda state: None, resume=None, **training):
    folds = [
        Fold(tuple(r for r in range(8) if r % members != m), tuple(range(m, 8, members)))
        for m in range(members)
    ]
    stack = build(base, AdapterConfig(layers="all", rank=4, dropout=0.1), members=members, labels=3,
                  seed=0, workers=2)  # fmt: skip
    config = TrainingConfig(**{"epochs": 4, "batch_size": 2, "learning_rate": 1e-2, **training})
    stopping = StoppingConfig(patience=2, max_ratio="off", keep="rollback")
    return fit(
        stack, _material(base, folds), LABELS, config, stopping, run=(5, float("inf"), pool),
        hooks=Hooks(save=save), resume=resume,
    )  # fmt: skip


def test_two_runs_with_one_seed_are_bitwise_the_same(load_base, pool):
    base = load_base("bert")
    first, second = _train(base, pool), _train(base, pool)
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one.state, two.state)
        assert one.kept_epoch == two.kept_epoch


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_resuming_gives_bitwise_the_weights_of_an_unbroken_run(stop_after, load_base, pool):
    base = load_base("llama")
    states = []
    unbroken = _train(base, pool, save=states.append)
    resumed = _train(base, pool, resume=states[stop_after - 1])
    for one, two in zip(unbroken, resumed, strict=True):
        assert torch.equal(one.state, two.state)
        assert torch.equal(one.best.state, two.best.state)
        assert (one.kept_epoch, one.reason) == (two.kept_epoch, two.reason)


def test_a_member_trains_in_a_stack_as_it_does_alone(load_base, pool):
    base = load_base("bert")
    # Without dropout, whose random numbers depend on the shape of the batch.
    config = TrainingConfig(epochs=2, batch_size=2, learning_rate=1e-3)
    stopping = StoppingConfig(keep="rollback", max_ratio="off")
    folds = [Fold((0, 1, 2, 3, 4, 5), (6, 7)), Fold((2, 3, 4, 5, 6, 7), (0, 1))]

    def train(some):
        stack = build(base, AdapterConfig(layers="all", rank=4), members=len(some), labels=3,
                      seed=0, workers=2)  # fmt: skip
        # Member 1 alone starts as member 1 of the stack.
        full = build(
            base, AdapterConfig(layers="all", rank=4), members=2, labels=3, seed=0, workers=1
        )
        picks = [folds.index(fold) for fold in some]
        stack.bind(full.adapters[picks].clone(), full.heads[picks].clone())
        return fit(stack, _material(base, some), LABELS, config, stopping, run=(5, float("inf"), pool),
                   hooks=Hooks())  # fmt: skip

    together = train(folds)
    for index, fold in enumerate(folds):
        alone = train([fold])[0]
        # Adam divides by the root of tiny second moments, which magnifies the last bits.
        assert torch.allclose(together[index].state, alone.state, atol=2e-3)
        assert together[index].best.score == alone.best.score


@pytest.mark.parametrize("start", ["zero head", "floor"])
def test_the_first_scores_need_no_pass_through_the_network(start, load_base, pool):
    base = load_base("bert")
    folds = [Fold((0, 1, 2, 4, 5, 6), (3, 7)), Fold((0, 3, 4, 5, 7), (1, 2, 6))]
    material = _material(base, folds)
    stack = build(base, AdapterConfig(rank=4), members=2, labels=3, seed=0, workers=2)
    vectors = None
    if start == "floor":
        stack.bind(stack.adapters, torch.randn_like(stack.heads))
        batch = assemble(material.encoded, np.arange(len(TEXTS))[None], 0)
        vectors = stack.features(batch)[0].detach().numpy()
    material = dataclasses.replace(
        material, vectors=vectors, offsets=np.random.default_rng(0).random((2, 8, 3), np.float32)
    )
    active = [Member(i, BestModel(), EarlyStopping(9, 0.0, 9.0)) for i in range(2)]
    loop = Loop(stack, material, LABELS, active, Optimizer(stack, TrainingConfig()), 16, 16)
    quick, plain = first_logits(loop, pool), held_out_logits(loop, pool)
    assert [scores.shape for scores in quick] == [(2, 3), (3, 3)]
    for one, other in zip(quick, plain, strict=True):
        assert np.allclose(one, other, atol=TOLERANCE)


def test_accumulation_is_the_same_as_a_larger_batch(load_base, pool):
    base = load_base("bert")

    def train(**training):
        stack = build(
            base, AdapterConfig(layers="all", rank=4), members=1, labels=3, seed=0, workers=2
        )
        folds = [Fold((0, 1, 2, 3, 4, 5), (6, 7))]
        config = TrainingConfig(epochs=1, learning_rate=1e-3, **training)
        return fit(stack, _material(base, folds), LABELS, config, StoppingConfig(keep="rollback"),
                   run=(5, 9.0, pool), hooks=Hooks())[0].state  # fmt: skip

    wide = train(batch_size=6, accumulation=1)
    assert torch.allclose(wide, train(batch_size=2, accumulation=3), atol=1e-4)
    assert not torch.allclose(wide, train(batch_size=2, accumulation=1), atol=1e-4)


def _fit(base, pool, *, config=None, said=None, **changes):
    stack = build(base, AdapterConfig(layers="all", rank=4), members=1, labels=3, seed=0, workers=2)
    material = dataclasses.replace(_material(base, [Fold((0, 1, 2, 3, 4, 5), (6, 7))]), **changes)
    tell = Hooks() if said is None else Hooks(tell=said.append)
    config = config or TrainingConfig(epochs=3, batch_size=2, learning_rate=1e-2)
    return fit(
        stack,
        material,
        LABELS,
        config,
        StoppingConfig(keep="rollback"),
        run=(5, 9.0, pool),
        hooks=tell,
    )[0]


def _broken_loss(times):
    """The usual loss, but with no number in some of its training calls, counted from 1."""
    plain = make_loss("cross_entropy", LossConfig(), ("a", "b", "c"), torch.from_numpy(TARGETS))
    calls = []

    def loss(logits, targets):
        if not logits.requires_grad:
            return plain(logits, targets)
        calls.append(len(calls) + 1)
        factor = float("inf") if calls[-1] in times else 1.0
        return plain(logits, targets) * factor

    return loss


def test_a_step_without_numbers_is_skipped_and_the_run_goes_on(load_base, pool):
    said = []
    member = _fit(load_base("bert"), pool, said=said, losses=(_broken_loss({2}),))
    assert member.reason == "ran all epochs"
    assert "is not a number, the step is skipped" in said[0]
    assert torch.isfinite(member.state).all()
    untouched = _fit(load_base("bert"), pool)
    assert not torch.allclose(member.state, untouched.state)  # one step is missing


def test_three_steps_without_numbers_end_the_run_with_the_last_good_weights(load_base, pool):
    base, said = load_base("bert"), []
    one_epoch = TrainingConfig(
        epochs=1, batch_size=6, learning_rate=1e-2, schedule="constant", warmup=0
    )
    good = _fit(base, pool, config=one_epoch)
    longer = one_epoch.model_copy(update={"epochs": 9})
    calls = len(chunks(np.arange(6)[None], _material(base, [Fold((0,), (1,))]).encoded.lengths))
    broken = _broken_loss(set(range(calls + 1, 1000)))
    member = _fit(base, pool, config=longer, said=said, losses=(broken,))
    assert member.reason == "3 steps in a row gave no numbers"
    assert torch.equal(member.state, good.state)
    assert [("last good" in sentence) for sentence in said[:3]] == [False, False, True]


def _greedy(rows_that_fit):
    """A hook that asks for more memory than any machine has when a pass has too many rows."""

    def hook(_module, _args, kwargs):
        if torch.is_grad_enabled() and kwargs["input_ids"].shape[0] > rows_that_fit:
            torch.empty(2**58, dtype=torch.uint8)

    return hook


def test_out_of_memory_halves_the_batch_and_changes_no_result(load_base, pool):
    config = TrainingConfig(epochs=2, batch_size=6, learning_rate=1e-3)
    plain, said = _fit(load_base("bert"), pool, config=config), []
    base = load_base("bert")
    handle = base.network.register_forward_pre_hook(_greedy(1), with_kwargs=True)
    try:
        tight = _fit(base, pool, config=config, said=said)
        assert (
            "out of memory with 6 rows at once: batch_size is now 3 and accumulation 2" in said[0]
        )
        assert torch.allclose(tight.state, plain.state, atol=1e-4)
        handle.remove()
        handle = base.network.register_forward_pre_hook(_greedy(0), with_kwargs=True)
        with pytest.raises(ResourceError, match="one single text") as caught:
            _fit(base, pool, config=config)
        assert "max_length_tokens" in caught.value.fix
    finally:
        handle.remove()


def test_a_base_that_gives_no_numbers_is_refused(load_base, pool):
    base = load_base("bert")
    stack = build(base, AdapterConfig(layers="all", rank=4), members=1, labels=3, seed=0, workers=2)
    stack.bind(stack.adapters, torch.full_like(stack.heads, float("nan")))
    with pytest.raises(TrainingError, match="no numbers") as caught:
        fit(
            stack,
            _material(base, [Fold((0, 1, 2, 3), (4, 5))]),
            LABELS,
            TrainingConfig(),
            StoppingConfig(),
            run=(5, 9.0, pool),
            hooks=Hooks(),
        )
    assert "precision" in caught.value.fix
