"""What is cut of a long row is cut alike in training, at use and in the audit, and is said."""

import json

import numpy as np
import pytest

from fucina import flow, reading, run
from fucina.models.conversations import asked, write
from fucina.models.opening import opening
from fucina.models.template import open_template
from fucina.recipe import parse
from fucina.records import Example, Message

LONG = "\n".join(f"A: turno numero {n}" for n in range(60))


@pytest.fixture
def template(decoder_tokenizer):
    tokenizer = decoder_tokenizer()
    return open_template(tokenizer, system="Riassumi.")


def _rows(*dialogues):
    return [Example(dialogue, "in breve") for dialogue in dialogues]


def test_the_opening_is_all_before_the_words_of_the_last_question(template):
    row = Example.of_conversation(
        [
            Message("user", "uno"),
            Message("assistant", "due"),
            Message("user", "tre"),
            Message("assistant", "q"),
        ]
    )
    alone = template.asked(Example("tre", "q"))
    assert opening(row, template) == opening(Example("tre", "q"), template)
    said = template.tokenizer.decode(alone[: opening(row, template)])
    assert said.endswith("<|im_start|>user\n")
    assert "Riassumi." in said


@pytest.mark.parametrize(
    "others", [("A: ciao",), ()]
)  # rows that share their beginning, and one alone
def test_a_long_question_loses_its_beginning_in_training_as_at_use(others, template):
    rows = _rows(LONG, *others)
    most = 200
    written = write(rows, template, max_length_tokens=most)
    assert written.cut == (0,)
    assert not written.lost
    learnt = written.learnt[0]
    given = written.ids[0][: int(np.argmax(learnt))]
    at_use = asked(rows[0], template, most=len(given))
    assert np.array_equal(given, at_use)
    said = template.tokenizer.decode(at_use)
    assert said.startswith(
        template.tokenizer.decode(template.asked(rows[0])[: opening(rows[0], template)])
    )
    assert "Riassumi." in said
    assert "turno numero 59" in said
    assert "turno numero 1\n" not in said
    answer = template.tokenizer.decode(written.ids[0][learnt])
    assert answer.startswith("in breve")
    assert len(written.ids[0]) == most


def test_audit_and_training_count_the_same_rows(make_decoder, tmp_path):
    lines = [
        json.dumps(
            {
                "dialogue": "\n".join([f"A: ciao {place}", *LONG.split("\n")[:turns]]),
                "summary": f"in breve {place}",
            }
        )
        for place, turns in enumerate([2, 3, 25, 4, 40, 3, 2, 50, 5, 3, 2, 4])
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "test.jsonl").write_text(
        "\n".join(line.replace("ciao", "salve") for line in lines), encoding="utf-8"
    )
    recipe, _ = parse(
        f"{{task: summarization, name: a, output: '{tmp_path}/runs', data: {{train: train.jsonl, test: test.jsonl, allow_duplicates: true}},"
        f" model: {{base: '{make_decoder('gpt2')}', max_length_tokens: 4096}}, adapter: {{rank: 2}},"
        " chat: {max_new_tokens: 4}, evaluation: {bootstrap_samples: 100}, training: {epochs: 1, precision: float32}}"
    )
    # The base reads 256 tokens, whatever the recipe says.
    _, findings = reading.audit(recipe, tmp_path)
    found = [finding for finding in findings if finding.check == "truncated"]
    assert [len(finding.rows) for finding in found] == [3, 3]
    assert all("max_length_tokens=256" in finding.message for finding in found)
    assert "256: 3" in found[0].message
    said = []
    flow.train(recipe, tmp_path, say=said.append)
    told = [sentence for sentence in said if "longer than" in sentence]
    assert [sentence.partition(" of ")[0] for sentence in told] == ["3", "3"]
    assert "test rows" in told[0]
    facts = run.read_json(run.find(tmp_path / "runs" / "a") / "metrics.json")
    assert len(facts["truncated"]) == 3


def test_an_answer_has_room_after_a_question_as_long_as_the_base_reads(load_decoder, pool):
    from dataclasses import replace

    from fucina.config import AdapterConfig
    from fucina.models.build import build
    from fucina.models.writer import Writer

    base = load_decoder("gpt2")
    base = replace(base, max_length_tokens=base.positions)
    stack = build(
        base, AdapterConfig(kind="head"), members=1, labels=0, seed=0, workers=1, whole=True
    )
    texts = Writer(base, (stack,), 12).predict(_rows(LONG * 3), threads=pool, foretell=False)
    tokens = base.tokenizer(texts.answers[0])["input_ids"]
    assert texts.ended[0] or len(tokens) > 4  # it had one token of room before
