"""Batches of a model that computes on one core go side by side, and one that hangs stops no other."""

import asyncio
import threading

import pytest

from fucina.serve.batching import Batcher
from fucina.serve.interface import Failure


def _asked(batcher, *requests):
    async def all_of_them():
        return await asyncio.gather(*(batcher.ask(rows) for rows in requests))

    try:
        return asyncio.run(all_of_them())
    finally:
        batcher.close()


def test_two_batches_are_under_way_at_once():
    both = threading.Barrier(2, timeout=20)

    def answer(rows):
        both.wait()
        return [row.upper() for row in rows]

    batcher = Batcher(answer, name="a", waiting=8, timeout_s=30, lanes=2)
    assert _asked(batcher, ["uno", "due"], ["tre", "sì"]) == [["UNO", "DUE"], ["TRE", "SÌ"]]


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_every_row_gets_its_own_answer(lanes):
    sizes = []
    batcher = Batcher(
        lambda rows: [row * 2 for row in rows], name="a", waiting=500, timeout_s=30, lanes=lanes,
        told=sizes.append,
    )  # fmt: skip
    rows = [[f"{number}-{place}" for place in range(number % 4 + 1)] for number in range(100)]
    assert _asked(batcher, *rows) == [[row * 2 for row in own] for own in rows]
    assert sum(sizes) == sum(map(len, rows))
    assert max(sizes) <= 32


def test_a_lane_that_hangs_leaves_the_other():
    released = threading.Event()

    def answer(rows):
        if "fermo" in rows:
            released.wait(60)
        return rows

    batcher = Batcher(answer, name="a", waiting=8, timeout_s=0.4, lanes=2)

    async def one_after_the_other():
        (late,) = await batcher.ask(["fermo"])
        return late, [await batcher.ask([f"riga {number}"]) for number in range(5)]

    try:
        late, others = asyncio.run(one_after_the_other())
    finally:
        released.set()
        batcher.close()
    assert isinstance(late, Failure)
    assert late.reason == "timeout"
    assert others == [[f"riga {number}"] for number in range(5)]
