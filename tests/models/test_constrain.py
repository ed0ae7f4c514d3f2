"""Answers held to a grammar: the likeliest of what is allowed, in every row, whoever writes."""

import json
import re
import sys
from dataclasses import replace
from unicodedata import category

import pytest
import torch

from fucina.config import AdapterConfig
from fucina.errors import MissingExtraError, ModelError, RecipeError
from fucina.models.build import build
from fucina.models.constrain import Held, check_grammar
from fucina.models.halves import halves_of
from fucina.models.template import open_template
from fucina.models.writer import Writer
from fucina.records import Example, Grammar

pytest.importorskip("llguidance")

KINDS = ("llama", "gemma3", "gpt_bigcode")
CHOICES = ("sì", "sì, certo", "no", "non lo so")
ONE_OF = Grammar("lark", 'start: "sì" | "sì, certo" | "no" | "non lo so"')
TAGS = Grammar("regex", r"#\w{1,6}( #\w{1,6}){0,2}")
OBJECT = {
    "type": "object", "properties": {"n": {"type": "integer", "maximum": 99}, "x": {"enum": ["a", "b"]}},
    "required": ["n", "x"], "additionalProperties": False,
}  # fmt: skip
ROWS = [
    Example("Com'è il mare?", "no"), Example("E la nebbia, che si vede da qui?", "sì"),
    Example("Posso?", "forse"), Example("Perché lampeggia tre volte?", "sì, certo"),
]  # fmt: skip


def _writer(base, held, *, members=1, tokens=60):
    config = AdapterConfig(layers=2, rank=4)
    stack = build(base, config, members=members, labels=0, seed=0, workers=2, whole=True)
    generator = torch.Generator().manual_seed(3)
    stack.bind(torch.empty_like(stack.adapters).normal_(0, 0.05, generator=generator), stack.heads)
    return Writer(base, (stack,), tokens, held)


def _alone(writer, example):
    """Greedy, whole row again for each token; allowed is what may still become a choice."""
    stack, ids, said = writer.stacks[0], writer.template.asked(example).tolist(), b""
    tokenizer, letters = writer.base.tokenizer, _letters(writer.base.tokenizer)
    while True:
        rows = torch.tensor([ids] * stack.members)
        with torch.no_grad():
            logits = stack.replicas[0].network(input_ids=rows).logits[:, -1].double()
        odds = torch.softmax(logits, dim=-1).mean(dim=0)
        special = set(tokenizer.all_special_ids)
        allowed = [
            token for token in range(len(tokenizer))
            if token not in special and letters[token]
            and any((blank + choice.encode()).startswith(said + letters[token])
                    for choice in CHOICES for blank in (b"", b" "))
        ]  # fmt: skip
        if said.strip().decode("utf-8", "ignore") in CHOICES and _whole(said):
            allowed.append(writer.template.end_id)
        best = max(allowed, key=lambda token: float(odds[token]))
        if best == writer.template.end_id:
            return said.decode().strip()
        ids.append(best)
        said += letters[best]


def _whole(said):
    return said.strip() in [choice.encode() for choice in CHOICES]


def _letters(tokenizer):
    """The bytes of each token, from the letters that GPT-2's alphabet writes bytes with."""
    found = []
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(byte): byte for byte in keep}
    more = [byte for byte in range(256) if byte not in keep]
    table |= {chr(256 + place): byte for place, byte in enumerate(more)}
    for token in range(len(tokenizer)):
        text = tokenizer.convert_ids_to_tokens(token)
        found.append(bytes(table[c] for c in text) if all(c in table for c in text) else b"")
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("members", [1, 2])
def test_each_answer_is_the_likeliest_that_the_grammar_allows(kind, members, load_decoder, pool):
    base = load_decoder(kind)
    held = Held(lambda rows: [ONE_OF] * len(rows), base.template)
    writer = _writer(base, held, members=members)
    found = writer.predict(ROWS, threads=pool)
    assert list(found.answers) == [_alone(writer, row) for row in ROWS]
    assert found.ended.all()
    free = _writer(base, None, members=members).predict(ROWS, threads=pool)
    assert not set(free.answers) & set(CHOICES)  # what random weights write by themselves
    assert found.losses == pytest.approx(free.losses)  # how likely the truth was is as before


def test_rows_written_together_are_held_to_grammars_of_their_own(load_decoder, pool):
    base = load_decoder("llama")
    grammars = [ONE_OF, TAGS, Grammar("json", json.dumps(OBJECT)), ONE_OF]
    held = Held(lambda rows: [grammars[ROWS.index(row)] for row in rows], base.template)
    answers = _writer(base, held).predict(ROWS, threads=pool).answers
    assert {answers[0], answers[3]} <= set(CHOICES)
    assert re.fullmatch(TAGS.text, answers[1])
    found = json.loads(answers[2])
    assert found["n"] <= 99
    assert found["x"] in "ab"
    assert answers[2] == json.dumps(found)  # with the blanks that Python writes, and no other


@pytest.mark.parametrize("kind", ["t5", "bart"])  # SentencePiece's pieces, and bytes
def test_an_encoder_decoder_is_held_too(kind, load_pair, pool):
    base = load_pair(kind)
    held = Held(lambda rows: [TAGS] * len(rows), base.template)
    config = AdapterConfig(layers=2, rank=4)
    stack = build(base, config, members=2, labels=0, seed=0, workers=2, whole=True)
    found = Writer(base, (stack,), 60, held).predict(ROWS, threads=pool)
    for answer, ended in zip(found.answers, found.ended, strict=True):
        # The library counts marks such as accents among the letters of \w, Python does not.
        letters = "".join("x" if category(sign)[0] == "M" else sign for sign in answer)
        assert re.fullmatch(TAGS.text, letters) or not ended


def test_a_token_that_a_base_is_forced_to_begin_with_is_outside_the_grammar(load_pair, pool):
    """As mBART's language, which the library counts as no text."""
    base = load_pair("mbart")
    base.network.generation_config.update(forced_bos_token_id=base.tokenizer.bos_token_id)
    halves = halves_of(base.network, base.layers, base.halves.layers, base.head)
    base = replace(base, halves=halves)
    held = Held(lambda rows: [ONE_OF] * len(rows), base.template)
    head = AdapterConfig(kind="head")
    stack = build(base, head, members=1, labels=0, seed=0, workers=2, whole=True)
    writer = Writer(base, (stack,), 60, held)
    prompts = [base.template.asked(row) for row in ROWS]
    tokens = writer._answer(prompts, [None], held.begin(ROWS))
    assert {own[0] for own in tokens} == {base.tokenizer.bos_token_id}
    assert set(writer.predict(ROWS, threads=pool).answers) <= set(CHOICES)


def test_true_answers_that_do_not_fit_are_found(load_decoder):
    base = load_decoder("llama")
    held = Held(lambda rows: [ONE_OF] * len(rows), base.template)
    assert [row.target for row in held.misfits(ROWS)] == ["forse"]


def test_a_network_wider_than_its_tokenizer_writes_none_of_what_is_beyond(load_decoder):
    base = load_decoder("llama")
    choose = Held(lambda rows: [ONE_OF] * len(rows), base.template).begin(ROWS[:1])
    odds = torch.zeros(1, len(base.tokenizer) + 70, dtype=torch.float64)
    odds[0, -3] = 1.0
    assert int(choose(odds)[0]) < len(base.tokenizer)


def test_a_tokenizer_that_cannot_write_what_is_wanted_is_told(load_pair, load_base):
    template = load_pair("t5").template
    choose = Held(lambda rows: [Grammar("lark", 'start: "日本"')], template).begin(ROWS[:1])
    odds = torch.ones(1, len(template.tokenizer), dtype=torch.float64)
    with pytest.raises(ModelError) as caught:
        [choose(odds) for _ in range(3)]
    assert "tokenizer can write" in caught.value.fix
    words = load_base("bert").tokenizer  # no decoder says how its words are joined
    words.eos_token = "[SEP]"
    with pytest.raises(ModelError) as caught:
        Held(lambda rows: [], open_template(words, "chatml"))
    assert "leave chat.constrain out" in caught.value.fix


@pytest.mark.parametrize("grammar", [
    Grammar("lark", "start: nothing"), Grammar("lark", ""), Grammar("regex", "(a"),
    Grammar("json", "{"), Grammar("json", '{"type": "objekt"}'), Grammar("json", "[1]"),
])  # fmt: skip
def test_a_grammar_with_a_mistake_is_refused(grammar):
    with pytest.raises(RecipeError) as caught:
        check_grammar(grammar)
    assert "chat.constrain" in caught.value.problem
    assert "Mend" in caught.value.fix


def test_a_missing_library_is_named_with_its_install_line(monkeypatch, load_decoder):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(MissingExtraError) as caught:
        check_grammar(ONE_OF)
    assert "fucina[constrain]" in caught.value.fix
    with pytest.raises(MissingExtraError):
        Held(lambda rows: [], load_decoder("llama").template)
