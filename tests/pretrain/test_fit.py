"""The loop of pretraining: what is seen in which order, and that nothing is lost by a stop."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from fucina.errors import ResourceError
from fucina.pretrain.attention import attend_in_blocks
from fucina.pretrain.fit import Hooks, Rows, fit, order
from fucina.pretrain.judge import bits_a_byte
from fucina.pretrain.network import build, flops_a_token
from fucina.pretrain.settings import NetworkConfig, ScheduleConfig
from fucina.train.schedule import rate

SHAPE = {"width": 32, "layers": 2, "heads": 2, "key_value_heads": 1, "feed_forward": 48}
LENGTH = 16


# torch's compiler looks for a gradient where there is none; it silences that by itself, unless
# warnings are errors, as here.
compiles = pytest.mark.filterwarnings("ignore:The .grad attribute")


def _network(layout="llama", seed=0):
    return build(NetworkConfig(layout=layout, **SHAPE), vocabulary=64, end=2, pad=0, seed=seed)


def _rows():
    """A language in which each token follows from the one before it."""
    return Rows.of([(np.arange(4000) * 7 % 61 + 3).astype(np.uint16)], LENGTH)


def _config(**changes):
    settings = {
        "tokens": 1, "batch_tokens": 128, "length_tokens": LENGTH, "rows_at_once": 3,
        "learning_rate": 0.01, "compile": "off", "checkpoint_steps": 7, "judge_steps": 1000,
    }  # fmt: skip
    return ScheduleConfig(**settings | changes)


def _run(config, steps, state=None, layout="llama"):
    rows, network, told, kept = _rows(), _network(layout), [], []
    seen = order(np.zeros(len(rows), int), np.ones(1), steps * 8, seed=1)

    def keep(_, state):
        kept.append({name: tensor.clone() for name, tensor in state.items()})

    fit(network, rows, seen, config, Hooks(told.append, lambda *_: None, keep, state or {}))
    return network, told, kept


@given(
    some.lists(some.integers(1, 30), min_size=1, max_size=4),
    some.lists(some.sampled_from([0.5, 1.0, 2.0, 2.5]), min_size=4, max_size=4),
    some.integers(1, 200), some.integers(0, 5),
)  # fmt: skip
def test_every_text_is_seen_as_often_as_due(sizes, passes, wanted, seed):
    rows = np.repeat(np.arange(len(sizes)), sizes)
    seen = order(rows, np.array(passes), wanted, seed)
    assert len(seen) == wanted
    assert np.array_equal(seen, order(rows, np.array(passes), wanted, seed))
    whole = order(rows, np.ones(len(sizes)), len(rows), seed)
    assert sorted(whole.tolist()) == list(range(len(rows)))


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("layout", ["llama", "qwen3"])
def test_it_learns_a_language_that_can_be_known(optimizer, layout):
    _, told, _ = _run(_config(optimizer=optimizer), 60, layout=layout)
    assert told[0].loss > 3
    assert told[-1].loss < 0.5
    assert (told[-1].step, told[-1].tokens) == (60, 60 * 128)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_run_that_goes_on_ends_with_the_same_weights_to_the_last_bit(optimizer):
    config = _config(optimizer=optimizer)
    whole, _, kept = _run(config, 20)
    assert [int(state["step"]) for state in kept] == [7, 14]
    again, _, _ = _run(config, 20, kept[-1])
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_passes_add_up_to_the_gradients_of_the_whole_batch(monkeypatch):
    monkeypatch.setattr("fucina.pretrain.fit.computes_bfloat16", lambda _: False)
    one, *_ = _run(_config(rows_at_once=8, optimizer="adamw"), 3)
    cut, *_ = _run(_config(rows_at_once=3, optimizer="adamw"), 3)
    for a, b in zip(one.parameters(), cut.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-5)


def test_wsd_rises_stays_and_falls_to_nothing():
    rates = [rate(s, warmup=5, total=100, schedule="wsd", decay=0.2) for s in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert set(rates[5:81]) == {1.0}
    assert all(a > b for a, b in pairwise(rates[80:]))
    assert rates[-1] == pytest.approx(1 / 20)


def test_bits_a_byte_is_what_its_definition_says():
    network, tokens = _network(), np.array([5, 9, 2, 7, 7, 30, 4], dtype=np.uint16)
    found = bits_a_byte(network, tokens, 11, length=4, begin=0)
    total = 0.0
    with torch.no_grad():
        for row in ([0, 5, 9, 2, 7], [7, 7, 30, 4]):
            logits = network(input_ids=torch.tensor([row[:-1]])).logits.double()
            total -= logits.log_softmax(-1)[0, range(len(row) - 1), row[1:]].sum().item()
    assert found == pytest.approx(total / np.log(2) / 11, rel=1e-5)


def test_the_count_of_operations_is_what_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    network = _network()
    with FlopCounterMode(display=False) as counter:
        ids = torch.randint(0, 64, (1, LENGTH))
        network(input_ids=ids, labels=ids).loss.backward()
    # Ours counts the half of attention that a causal mask leaves.
    assert flops_a_token(network, LENGTH) == pytest.approx(
        counter.get_total_flops() / LENGTH, rel=0.1
    )


@pytest.mark.parametrize(
    ("wanted", "told"), [("auto", "run uncompiled"), ("on", "cannot be compiled")]
)
def test_passes_that_cannot_be_compiled_run_as_they_are_or_are_refused(wanted, told, monkeypatch):
    monkeypatch.setenv("CXX", "/bin/false")  # a compiler that fails, as one without headers does
    torch._dynamo.reset()
    rows, said, steps = _rows(), [], []
    seen = order(np.zeros(len(rows), int), np.ones(1), 16, seed=1)
    hooks = Hooks(steps.append, lambda *_: None, lambda *_: None, {}, said.append)
    with torch._inductor.config.patch({"cpp.cxx": "/bin/false", "force_disable_caches": True}):
        if wanted == "on":
            with pytest.raises(ResourceError, match=told) as caught:
                fit(_network(), rows, seen, _config(compile="on"), hooks)
            assert "training.compile: off" in caught.value.fix
            return
        fit(_network(), rows, seen, _config(compile="auto"), hooks)
    assert told in said[-1]
    assert steps[-1].step == 2


@pytest.mark.parametrize("tokens", [5, 128, 300])
def test_attention_in_blocks_is_the_attention_of_pytorch(tokens):
    shape = NetworkConfig(width=32, layers=2, heads=4, key_value_heads=2, feed_forward=32)
    network = build(shape, vocabulary=64, end=2, pad=0, seed=0)
    ids = torch.randint(0, 64, (2, tokens), generator=torch.Generator().manual_seed(0))
    expected = network(input_ids=ids, use_cache=False).logits
    attend_in_blocks(network)
    found = network(input_ids=ids, use_cache=False).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@compiles
@pytest.mark.long
def test_compiled_passes_learn_the_same():
    _, told, _ = _run(_config(rows_at_once=8, compile="on"), 30)
    _, also, _ = _run(_config(rows_at_once=8), 30)
    assert told[-1].loss == pytest.approx(also[-1].loss, rel=0.1)
    assert told[-1].loss < told[0].loss


@compiles
@pytest.mark.long
def test_compiled_passes_go_on_to_the_last_bit_on_several_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    config = _config(rows_at_once=8, compile="on")
    try:
        whole, _, kept = _run(config, 14)
        again, _, _ = _run(config, 14, kept[0])
    finally:
        torch.set_num_threads(before)
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
