"""The audit shows what the model will read, and says where the template spoils it."""

from dataclasses import replace

import pytest

from fucina.data import Subject
from fucina.data.audit import rendering
from fucina.models.template import open_template
from fucina.records import Dataset, Example, Message

END = "<|im_end|>"
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def check(decoder_tokenizer):
    """Give a function: rows, template, limit → findings by name."""

    def run(rows, source=CHAT, *, limit=0, **options):
        tokenizer = decoder_tokenizer()
        tokenizer.chat_template = source
        subject = Subject(
            Dataset("train", tuple(rows)), answer="text", max_length_tokens=limit,
            template=open_template(tokenizer, **options),
        )  # fmt: skip
        return {finding.check: finding for finding in rendering.check(subject)}

    return run


def _row(question, answer, system=None, origin="a:1"):
    turns = [Message("user", question), Message("assistant", answer)]
    if system:
        turns.insert(0, Message("system", system))
    return replace(Example.of_conversation(turns), origin=origin)


def _rows(count=8):
    return [
        _row(f"Com'è il mare {i}?", f"Grosso {'assai ' * i}.", origin=f"a:{i}")
        for i in range(count)
    ]


def test_three_rows_are_shown_with_what_is_learnt_marked(check):
    found = check(_rows())
    assert set(found) == {"rendering"}
    shown = found["rendering"]
    assert len(shown.evidence) == 3
    assert shown.evidence[0].startswith("<|im_start|>user\nCom'è il mare")
    assert shown.evidence[0].endswith(f"assai .{END}›")
    assert "<|im_start|>assistant\n‹Grosso" in shown.evidence[0]
    assert "the tokenizer's own" in shown.message
    assert END in shown.message


def test_the_template_that_stands_in_for_a_missing_one_is_told(check):
    assert "chatml" in check(_rows(), None)["rendering"].message


def test_a_long_system_turn_is_shortened_in_its_middle(check):
    shown = check([_row("Ciao", "Ciao!", system="Sei Nerina. " * 200)])["rendering"].evidence[0]
    assert "more…]" in shown
    assert len(shown) < 500
    assert shown.endswith(f"‹Ciao!{END}›")


@pytest.mark.parametrize(("source", "problem"), [
    ("{{ bos_token }}{{ bos_token }}" + CHAT, "template_double_begin"),
    (CHAT.replace("<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant: {% endif %}"),
     "template_mismatch"),
], ids=["two begins", "another beginning"])  # fmt: skip
def test_a_template_that_spoils_training_is_an_error(source, problem, check):
    finding = check(_rows(), source)[problem]
    assert finding.severity == "error"
    assert len(finding.rows) == 8


def test_an_end_that_the_template_leaves_out_of_earlier_answers_is_an_error(check):
    source = CHAT.replace(
        "<|im_end|>\n",
        "{% if loop.last or m.content | length < 15 %}<|im_end|>{% endif %}\n",
    )
    said = [("user", "Ciao"), ("assistant", "Il mare è calmo da ieri."), ("user", "E poi?"),
            ("assistant", "Poi cala.")]  # fmt: skip
    row = Example.of_conversation([Message(role, text) for role, text in said])
    assert check([row], source)["template_end_not_learnt"].severity == "error"


def test_an_end_that_the_template_leaves_out_of_the_last_answer_is_added(check):
    source = CHAT.replace(
        "<|im_end|>\n", "{% if not (loop.last and m.role == 'assistant') %}<|im_end|>\n{% endif %}"
    )
    found = check(_rows(), source)
    assert set(found) == {"rendering"}
    assert "added because the template ends no last answer" in found["rendering"].message
    assert all(text.endswith(f"{END}›") for text in found["rendering"].evidence)


def test_a_row_that_the_template_refuses_is_named(check):
    source = (
        "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}{% endfor %}"
        + CHAT
    )
    turns = [Message("user", "a"), Message("tool", "b"), Message("assistant", "c")]
    refused = replace(Example.of_conversation(turns), origin="a:9")
    finding = check([*_rows(), refused], source)["template_refused"]
    assert finding.rows == ("a:9",)
    assert "no tools" in finding.evidence[0]


def test_control_tokens_in_a_text_are_named_with_their_turn(check):
    found = check([*_rows(), _row("Ciao", f"Chiudo con {END} e vado.", origin="a:9")])
    assert found["template_control_tokens"].rows == ("a:9",)
    assert found["template_control_tokens"].evidence == (f"turn 2 (assistant): {END}",)


def test_rows_that_do_not_fit_are_counted_and_answers_that_never_could_apart(check):
    rows = [
        *_rows(),
        _row("perché " * 200, "Sì.", origin="a:q"),
        _row("Sì?", "perché " * 200, origin="a:a"),
    ]
    found = check(rows, limit=150)
    assert set(found["truncated"].rows) == {"a:q", "a:a"}
    assert found["answer_would_be_cut"].rows == ("a:a",)
    assert found["answer_would_be_cut"].severity == "error"
    fits = int(found["answer_would_be_cut"].fix.split("=")[1].split()[0])
    assert "answer_would_be_cut" not in check(rows, limit=fits)


def test_only_the_last_turn_is_marked_where_only_that_is_learnt(check):
    turns = [
        Message("user", "a"),
        Message("assistant", "b"),
        Message("user", "c"),
        Message("assistant", "d"),
    ]
    row = replace(Example.of_conversation(turns), origin="a:1")
    assert check([row])["rendering"].evidence[0].count("‹") == 2
    assert check([row], supervise="last")["rendering"].evidence[0].count("‹") == 1
