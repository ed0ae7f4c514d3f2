"""llama.cpp reads what the built-in engine reads, and writes what it writes."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fucina
from fucina.engines import Sampling
from fucina.errors import DataError, MissingExtraError, ModelError
from fucina.records import Example, Grammar, Message

FAVILLA = Path(fucina.__file__).parent / "bases" / "favilla"


def test_without_llama_cpp_its_absence_is_told(monkeypatch):
    from fucina.engines import llama_library

    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'fucina\[llama\]'"):
        llama_library.load()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """favilla in full precision."""
    pytest.importorskip("llama_cpp")
    from fucina.export import gguf

    path = tmp_path_factory.mktemp("gguf") / "favilla.gguf"
    gguf.write(FAVILLA, path, "F32")
    return path


@pytest.fixture(scope="module")
def talker(file):
    from fucina.engines.llama import LlamaTalker

    opened = LlamaTalker(file, max_tokens=24, reads=1024, threads=1)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def writer():
    """favilla in the built-in engine."""
    from fucina.config import ChatConfig
    from fucina.models import base, saved
    from fucina.recipe import parse

    recipe, _ = parse("task: chat\nname: a\ndata: {train: '-'}\nmodel: {base: favilla}", [])
    loaded = base.with_template(base.load(recipe.model, answer="text"), ChatConfig(), Path())
    made = saved.untrained_writer(recipe, loaded, workers=2)
    return replace(made, max_new_tokens=24)


TURNS = ("user", "assistant")
ROWS = [
    Example("Ciao, come va? È già l'una.", ""),
    Example("SELECT  name\n\nFROM t WHERE x = 'é' -- 12345", ""),
    Example(""  , ""),
    Example.of_conversation([Message("system", "Rispondi in breve."), Message("user", "Perché?"),
                             Message("assistant", "")]),
    Example.of_conversation(
        [Message(TURNS[i % 2], f"giro {i} 👍") for i in range(5)] + [Message("assistant", "")]
    ),
    Example.of_conversation(
        [Message(TURNS[i % 2], f"giro {i} " * 90) for i in range(9)] + [Message("assistant", "")]
    ),
    Example("parola " * 3000, ""),
]  # fmt: skip


def said(pieces):
    return "".join(piece.text for piece in pieces)


def test_it_reads_what_the_built_in_engine_reads(talker, writer):
    expected = [writer.asked(row).tolist() for row in ROWS]
    assert max(map(len, expected)) == 1024  # the last is cut
    assert [talker.prompt_ids(row) for row in ROWS] == expected


def test_a_conversation_may_end_with_the_question(talker):
    turns = (Message("system", "Breve."), Message("user", "Ciao"))
    open_ended = Example("Ciao", "", messages=turns)
    whole = Example("Ciao", "Sì!", messages=(*turns, Message("assistant", "Sì!")))
    assert talker.prompt_ids(open_ended) == talker.prompt_ids(whole)


def test_it_writes_what_the_built_in_engine_writes(talker, writer, pool):
    rows = ROWS[:5]
    answers = writer.predict(rows, threads=pool, foretell=False).answers
    assert [said(talker.talk(row, Sampling())) for row in rows] == list(answers)
    assert len(set(answers)) > 1


def test_a_system_stands_before_rows_that_have_none(file, talker):
    from fucina.engines.llama import LlamaTalker

    ordered = LlamaTalker(file, system="Breve.", threads=1)
    try:
        asked = Example.of_conversation([Message("system", "Breve."), Message("user", "Ciao")])
        assert ordered.prompt_ids(Example("Ciao", "")) == talker.prompt_ids(asked)
    finally:
        ordered.close()


def test_the_last_piece_tells_why_it_ended(talker):
    row = ROWS[0]
    *_, cut = talker.talk(row, Sampling(max_tokens=3))
    assert (cut.end, cut.read) == ("length", len(talker.prompt_ids(row)))
    held = Sampling(grammar=Grammar("regex", "sì|no"), max_tokens=9)
    *_, ended = talker.talk(row, held)
    assert ended.end == "stop"


def test_a_stop_ends_the_answer(talker):
    row = ROWS[0]
    whole = said(talker.talk(row, Sampling()))
    word = whole.split()[2]
    pieces = list(talker.talk(row, Sampling(stop=(word,))))
    assert said(pieces) == whole[: whole.index(word)].rstrip()
    assert pieces[-1].end == "stop"


def test_equal_seeds_draw_alike_and_others_do_not(talker):
    def draw(seed, **how):
        return said(talker.talk(ROWS[0], Sampling(temperature=1.5, seed=seed, **how)))

    assert draw(1) == draw(1)
    assert len({draw(seed) for seed in range(4)}) > 1
    greedy = said(talker.talk(ROWS[0], Sampling()))
    assert draw(1, top_p=1e-9) == greedy


def test_logprobs_are_those_of_the_scores(talker):
    row = ROWS[0]
    pieces = list(talker.talk(row, Sampling(logprobs=True, top_logprobs=3, max_tokens=4)))
    told = [pair for piece in pieces for pair in piece.logprobs]
    top = [found for piece in pieces for found in piece.top]
    assert len(told) == len(top) == 4
    scores = talker.scores(talker.prompt_ids(row)).astype(float)
    best = scores.max() - np.log(np.exp(scores - scores.max()).sum()) - scores.max()
    assert told[0][1] == pytest.approx(best, abs=1e-4)
    assert [len(found) for found in top] == [3] * 4
    assert all(
        max(found.values()) == pytest.approx(own[1]) for found, own in zip(top, told, strict=True)
    )


def test_who_stops_listening_lets_others_speak(talker):
    pieces = talker.talk(ROWS[0], Sampling())
    next(pieces)
    pieces.close()
    assert said(talker.talk(ROWS[1], Sampling(max_tokens=2)))


def test_a_text_goes_on_without_the_template(talker):
    pieces = list(talker.complete("L'Italia è", Sampling(max_tokens=5)))
    assert pieces[-1].read == len(talker.template.tokenizer("L'Italia è")["input_ids"])
    assert said(pieces).startswith(" ")
    for wrong in ("", "parola " * 3000):
        with pytest.raises(DataError, match="the model reads 1 to 2048"):
            talker.complete(wrong, Sampling())


def test_an_answer_ends_where_the_context_is_full(file):
    from fucina.engines.llama import LlamaTalker

    small = LlamaTalker(file, context=48, threads=1, max_tokens=500)
    try:
        pieces = list(small.complete("uno due tre", Sampling(max_tokens=500)))
        assert pieces[-1].end == "length"
        assert pieces[-1].read + sum(piece.tokens for piece in pieces) == 48 + 1
        assert len(small.prompt_ids(ROWS[5])) <= 24
    finally:
        small.close()


def test_answers_hold_to_a_grammar(talker):
    pytest.importorskip("llguidance")
    schema = Grammar(
        "json",
        '{"type": "object", "properties": {"n": {"enum": [7, 8]}}, "required": ["n"], "additionalProperties": false}',
    )
    for seed in range(3):
        answer = said(talker.talk(ROWS[0], Sampling(temperature=2.0, seed=seed, grammar=schema)))
        assert answer in ('{"n": 7}', '{"n": 8}')


def test_a_file_that_is_no_gguf_is_refused(tmp_path, file):
    from fucina.engines.llama import LlamaTalker

    (tmp_path / "a.gguf").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot be loaded by"):
        LlamaTalker(tmp_path / "a.gguf")
    with pytest.raises(ModelError, match="no such file"):
        LlamaTalker(tmp_path / "b.gguf")
    with pytest.raises(ModelError, match="cannot be loaded by"):
        LlamaTalker(file, adapter=tmp_path / "a.gguf")
