"""Where memory runs out, fewer rows are computed at once, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fucina.config import AdapterConfig
from fucina.errors import ResourceError
from fucina.models.build import build
from fucina.models.pace import Pace
from fucina.models.writer import ROWS, Writer
from fucina.records import Example

ASKED = [Example(f"Domanda {n} sul mare?", "Sì, se c'è vento.") for n in range(11)]


def _greedy(rows_that_fit):
    """A hook that asks for more memory than any machine has when a pass has too many rows."""

    def hook(_module, args, kwargs):
        ids = kwargs.get("input_ids", args[0] if args else None)
        if ids is not None and ids.shape[0] > rows_that_fit:
            torch.empty(2**58, dtype=torch.uint8)

    return hook


def _writer(base, tell):
    stack = build(
        base, AdapterConfig(kind="head"), members=1, labels=0, seed=0, workers=2, whole=True
    )
    return Writer(base, (stack,), 9, pace=Pace(ROWS, tell=tell))


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_answers_are_written_in_halves_and_are_the_same(kind, load_decoder, load_pair, pool):
    load, said = load_pair if kind == "t5" else load_decoder, []
    plain = _writer(load(kind), said.append).predict(ASKED, threads=pool)
    assert not said
    tight = _writer(load(kind), said.append)
    body = tight.stacks[0].replicas[0].network.get_submodule(tight.base.body)
    handles = [
        own.network.get_submodule(tight.base.body).register_forward_pre_hook(
            _greedy(3), with_kwargs=True
        )
        for own in tight.stacks[0].replicas
    ]
    assert body is not None
    found = tight.predict(ASKED, threads=pool)
    assert found.answers == plain.answers
    assert found.losses == pytest.approx(plain.losses, rel=1e-5)
    assert found.written == plain.written
    writing = [sentence for sentence in said if "writing answers" in sentence]
    assert writing == [f"out of memory while writing answers: {rows} rows at once from here on."
                       for rows in (6, 3)]  # fmt: skip
    said.clear()
    again = replace(tight, held=None).predict(ASKED, threads=pool, foretell=False)
    assert again.answers == plain.answers
    assert not said  # it is known by now
    for handle in handles:
        handle.remove()


def test_one_row_that_does_not_fit_is_told_with_the_fix(load_decoder, pool):
    writer = _writer(load_decoder("llama"), lambda sentence: None)
    for own in writer.stacks[0].replicas:
        own.network.get_submodule(writer.base.body).register_forward_pre_hook(
            _greedy(0), with_kwargs=True
        )
    # Without a beginning that they share, which would be read alone before.
    rows = [Example(f"{n} {asked.prompt}", "") for n, asked in enumerate(ASKED[:3])]
    with pytest.raises(ResourceError, match="one single row") as caught:
        writer.predict(rows, threads=pool, foretell=False)
    assert "chat.max_new_tokens" in caught.value.fix


def test_other_errors_are_not_mended(pool):
    def run(rows):
        raise ValueError(f"{len(rows)} rows")

    with pytest.raises(ValueError, match="4 rows"):
        list(Pace(4).each(run, [np.arange(8)], pool))
