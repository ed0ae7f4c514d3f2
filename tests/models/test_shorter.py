"""Conversations that are too long lose as few of their oldest exchanges as they must."""

import pytest

from fucina.config import ChatConfig
from fucina.models import base as bases
from fucina.models.shorter import asked, shorter
from fucina.records import Example, Message


def _spoken(count):
    turns = [Message("system", "Rispondi.")]
    for number in range(count):
        turns += [Message("user", f"Dove sta {'il ' * (number % 4)}pacco {number}?"),
                  Message("assistant", "Di sopra.")]  # fmt: skip
    return Example.of_conversation(turns)


@pytest.mark.parametrize("most", [10, 30, 47, 90, 200, 10_000])
def test_as_few_exchanges_go_as_must(most, load_decoder, tmp_path):
    base = bases.with_template(load_decoder("llama"), ChatConfig(), tmp_path)
    row = _spoken(9)
    turns = row.messages
    rests = [row, *(Example.of_conversation((turns[0], *turns[at:])) for at in range(3, 18, 2))]
    for tokens, found in (
        (base.template.asked, asked(row, base.template, most=most)),
        (lambda rest: base.template.render(rest).ids, shorter(row, base.template, most).ids),
    ):
        fitting = [tokens(rest) for rest in rests[1:] if len(tokens(rest)) <= most]
        if len(tokens(row)) <= most and tokens == base.template.asked:
            fitting = [tokens(row)]
        if fitting:
            assert found.tolist() == fitting[0].tolist()


def test_a_conversation_of_thousands_of_turns_is_written_down_a_few_times(load_decoder, tmp_path):
    base = bases.with_template(load_decoder("llama"), ChatConfig(), tmp_path)
    counted = []
    tokenizer = base.template.tokenizer
    whole = tokenizer.__call__

    class Counting:
        def __getattr__(self, name):
            return getattr(tokenizer, name)

        def __call__(self, *given, **more):
            counted.append(1)
            return whole(*given, **more)

    from dataclasses import replace

    template = replace(base.template, tokenizer=Counting())
    assert len(asked(_spoken(3000), template, most=100)) <= 100
    assert len(counted) < 40
