"""Moments in 8 bits: as bitsandbytes moves each member, small, and resumed to the last bit."""

import sys

import numpy as np
import pytest
import torch

from fucina.config import AdapterConfig, StoppingConfig, TrainingConfig
from fucina.errors import MissingExtraError
from fucina.models.build import build
from fucina.records import Fold
from fucina.train.fit import fit
from fucina.train.labels import LABELS
from fucina.train.members import Hooks
from fucina.train.optimizer import Optimizer

from .test_engine import _material

bitsandbytes = pytest.importorskip("bitsandbytes")
ADAPTER = AdapterConfig(layers="all", rank=8, dropout=0.1)
CONFIG = TrainingConfig(learning_rate=1e-2, weight_decay=0.1, max_gradient_norm=0.5)


def _stack(base, members):
    return build(base, ADAPTER, members=members, labels=3, seed=0, workers=2)


def _gradients(stack, step):
    generator = torch.Generator().manual_seed(step)
    return (
        torch.empty_like(stack.adapters).normal_(0, 0.1, generator=generator),
        torch.empty_like(stack.heads).normal_(0, 0.1, generator=generator),
    )


def test_each_member_moves_as_bitsandbytes_would_move_it_alone(load_base):
    stack = _stack(load_base("bert"), 2)
    ours = Optimizer(stack, CONFIG, "adamw_8bit")
    rows = [torch.nn.Parameter(stack.adapters[m].clone()) for m in range(2)]
    theirs = [bitsandbytes.optim.AdamW8bit([row], lr=1e-2, weight_decay=0.1) for row in rows]
    for step in range(4):
        adapters, heads = _gradients(stack, step)
        norms = ours.step(adapters, heads, np.ones(2, dtype=bool), [1.0, 1.0])
        for member, (row, one) in enumerate(zip(rows, theirs, strict=True)):
            row.grad = adapters[member] * min(1.0, 0.5 / norms[member])
            one.step()
    for member, row in enumerate(rows):
        # Clipping divides in another order; a number may fall into the next of 256 steps.
        assert torch.allclose(stack.adapters[member], row, atol=1e-4)
        assert torch.equal(
            stack.leaves[0][member].flatten(),
            stack.adapters[member][: stack.leaves[0][member].numel()],
        )


def test_moments_take_a_quarter_of_the_memory(load_base):
    sizes = {}
    for kind in ("adamw", "adamw_8bit"):
        stack = _stack(load_base("bert"), 1)
        optimizer = Optimizer(stack, CONFIG, kind)
        optimizer.step(*_gradients(stack, 0), np.ones(1, dtype=bool), [1.0])
        adapter = optimizer.moments()[1]
        sizes[kind] = sum(value.numel() * value.element_size() for key, value in adapter.items()
                          if "qmap" not in key)  # fmt: skip
    assert stack.adapters.shape[1] >= 4096
    assert sizes["adamw_8bit"] < 0.27 * sizes["adamw"]


def test_it_moves_nearly_as_with_whole_moments(load_base):
    ends = {}
    for kind in ("adamw", "adamw_8bit"):
        stack = _stack(load_base("bert"), 1)
        start = stack.adapters.clone()
        optimizer = Optimizer(stack, CONFIG, kind)
        for step in range(10):
            optimizer.step(*_gradients(stack, step), np.ones(1, dtype=bool), [1.0])
        ends[kind] = stack.adapters - start
    away = (ends["adamw"] - ends["adamw_8bit"]).norm() / ends["adamw"].norm()
    assert 0 < away < 0.1


def test_a_member_without_rows_or_numbers_stands_still(load_base):
    stack = _stack(load_base("bert"), 3)
    before = stack.states()
    adapters, heads = _gradients(stack, 0)
    adapters[2, 5] = float("nan")
    optimizer = Optimizer(stack, CONFIG, "adamw_8bit")
    optimizer.step(adapters, heads, np.array([True, False, True]), [1.0] * 3)
    moved = [not torch.equal(one, two) for one, two in zip(before, stack.states(), strict=True)]
    assert moved == [True, False, False]


def _train(base, pool, *, save=lambda state: None, resume=None):
    folds = [Fold(tuple(r for r in range(8) if r % 2 != m), tuple(range(m, 8, 2))) for m in (0, 1)]
    config = TrainingConfig(epochs=3, batch_size=2, learning_rate=1e-2)
    return fit(
        _stack(base, 2), _material(base, folds), LABELS, config,
        StoppingConfig(patience=3, max_ratio="off", keep="rollback"), run=(5, float("inf"), pool),
        hooks=Hooks(save=save), optimizer="adamw_8bit", resume=resume,
    )  # fmt: skip


def test_resuming_gives_bitwise_the_weights_of_an_unbroken_run(load_base, pool, tmp_path):
    from fucina import run

    base, states = load_base("llama"), []
    unbroken = _train(base, pool, save=states.append)
    # As a run folder keeps them: through a file.
    run.write_tensors(tmp_path / "state.safetensors", states[0].tensors, {})
    tensors = run.read_tensors(tmp_path / "state.safetensors")
    assert any(tensor.dtype == torch.uint8 for tensor in tensors.values())
    resumed = _train(base, pool, resume=type(states[0])(1, tensors, states[0].facts))
    for one, two in zip(unbroken, resumed, strict=True):
        assert torch.equal(one.state, two.state)
        assert not torch.equal(one.state, one.best.state) or one.best.epoch == one.kept_epoch


def test_without_the_library_the_line_that_installs_it_is_given(load_base, monkeypatch):
    stack = _stack(load_base("bert"), 1)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError) as caught:
        Optimizer(stack, CONFIG, "adamw_8bit")
    assert "fucina[quant]" in caught.value.fix
