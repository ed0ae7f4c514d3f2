"""Each cause of a model that writes is named where it holds, and nowhere else."""

import dataclasses
import math

import numpy as np
import pytest

from fucina.diagnose import (
    TextCase,
    liken,
    rank_text_causes,
    text_errors,
    text_slices,
    text_symptom,
)
from fucina.models.template import open_template
from fucina.recipe import parse
from fucina.records import Dataset, Epoch, Example, Finding, Message, Texts

WORDS = "pacco arriva rotto schermo apre quando soldi taglia perché città corriere negozio".split()
OTHERS = "stella luna galassia pianeta cometa orbita telescopio eclissi marea razzo sonda".split()
SYSTEM = "Sei Nerina, guardiana del faro."
CUSTOM = "{% for m in messages %}[{{ m.role }}] {{ m.content }}<|end|>{% endfor %}"


def _talk(*turns, system="", origin=""):
    """A conversation in which the user begins and both take turns."""
    said = [Message("system", system)] if system else []
    said += [Message(("user", "assistant")[i % 2], text) for i, text in enumerate(turns)]
    return dataclasses.replace(Example.of_conversation(said), origin=origin)


def _rows(count, seed, *, name="a.jsonl", words=WORDS, turns=2, system="", before=""):
    rng = np.random.default_rng(seed)

    def text():
        return f"{' '.join(rng.choice(words, 6))} {rng.integers(1000, 9999)}."

    return tuple(
        _talk(*(f"{before}{text()}" for _ in range(turns)),
              system=system, origin=f"{name}:{row + 1}")
        for row in range(count)
    )  # fmt: skip


def _epochs(train=(2.6, 2.2, 2.0, 1.9), held=(3.5, 2.6, 2.3, 2.2, 2.19)):
    losses = [math.nan, *train]
    return tuple(
        Epoch(0, n, losses[n], held[n], {"token_accuracy": 0.3 + n / 100}, 1.0, 5e-4, 1.0)
        for n in range(len(held))
    )


def _score(value, half=0.05):
    return {"value": value, "low": value - half, "high": value + half}


def _case(make_tokenizer, *overrides, rows=None, test=None, epochs=None, loss=2.2, held_out=2.2,
          wide=0.05, ended=1.0, facts=None, findings=(), answers="Va bene.", auc=None,
          losses=None, own=None, base=3.5):  # fmt: skip
    recipe = parse("{task: chat, name: a, data: {train: a.jsonl, test: b.jsonl}}", overrides)[0]
    rows = _rows(300, 1) if rows is None else rows
    test = _rows(60, 2, name="b.jsonl") if test is None else test
    tokenizer = make_tokenizer()
    tokenizer.chat_template = own
    template = open_template(
        tokenizer, "chatml", system=recipe.chat.system, supervise=recipe.chat.supervise
    )
    held = 50 if len(rows) > 100 else len(rows) // 5
    development = Dataset("train", rows)
    beside = liken(development.prompts, Dataset("test", test).prompts, seed=0)
    if auc is not None:
        beside = dataclasses.replace(beside, domain_auc=auc)
    stops = np.arange(len(test)) < ended * len(test)
    tokens = np.full(len(test), 20.0)
    known = {
        "model": {"scores": {"token_loss": _score(loss, wide), "ended": _score(ended),
                             "perplexity": _score(math.exp(loss), wide)}, "rows": len(test)},
        "out_of_fold": {"scores": {"token_loss": _score(held_out)}},
        "baselines": [{"name": "base", "scores": {"token_loss": _score(base)}}],
        "members": [{"ended": "ran all epochs"}],
        "truncated": [], "longest_tokens": 80,
        **(facts or {}),
    }  # fmt: skip
    written = Texts(
        tuple(row.prompt for row in test), tuple(row.target for row in test),
        (answers,) * len(test), tokens * loss if losses is None else losses, tokens, stops,
    )  # fmt: skip
    return TextCase(
        recipe=recipe, facts=known, epochs=epochs or _epochs(), development=development,
        fold=np.array([0] * held + [-1] * (len(rows) - held)), held_out=written,
        rows=Dataset("test", test), test=written, findings=tuple(findings), beside=beside,
        template=template,
    )  # fmt: skip


def _finding(check, count, repairs=None):
    rows = tuple(f"a.jsonl:{row}" for row in range(1, count + 1))
    return Finding(check, "warning", "so many.", "Mend.", rows, rows, repairs or {})


STILL = _epochs(train=(3.5, 3.5, 3.5, 3.5), held=(3.5, 3.5, 3.5, 3.5, 3.5))
WORSE = _epochs(train=(5.0, 4.4, 4.0, 3.7), held=(3.5, 4.6, 4.0, 3.7, 3.6))
SHORT = _epochs(train=(3.3,), held=(3.5, 3.0))
BY_HEART = _epochs(train=(2.6, 1.4, 0.6, 0.1), held=(3.5, 2.8, 2.9, 3.4, 4.0))
BLANK = _epochs(train=(5.9, 5.8, 5.7, 5.6), held=(6.0, 5.9, 5.8, 5.7, 5.69))

PLANTED = [
    ("learning_rate_low", lambda t: _case(t, "training.learning_rate=1e-6", epochs=STILL)),
    ("learning_rate_high", lambda t: _case(t, "training.learning_rate=0.1", epochs=WORSE)),
    ("warmup_too_long", lambda t: _case(t, "training.warmup=5000", epochs=STILL)),
    ("too_few_epochs", lambda t: _case(t, "training.epochs=1", epochs=SHORT)),
    ("batch_too_large", lambda t: _case(t, "training.batch_size=512", epochs=STILL)),
    ("overfitting", lambda t: _case(t, "training.epochs=20", epochs=BY_HEART)),
    ("rank_too_small", lambda t: _case(t, "adapter.rank=1", "adapter.alpha=2")),
    ("wrong_modules", lambda t: _case(t, "adapter.target_modules=[k_proj]")),
    ("base_unsuited", lambda t: _case(t, epochs=BLANK, loss=5.6, held_out=5.6, base=5.9)),
    ("too_few_examples", lambda t: _case(t, rows=_rows(24, 1))),
    ("end_not_learned", lambda t: _case(t, ended=0.2)),
    ("answers_cut_off", lambda t: _case(t, "chat.max_new_tokens=4", ended=0.0)),
    ("unlearnt_turns", lambda t: _case(t, "chat.supervise=last", rows=_rows(200, 1, turns=8))),
    ("truncation", lambda t: _case(t, facts={"truncated": list(range(200)), "longest_tokens": 900})),
    ("cut_answers", lambda t: _case(t, findings=[_finding("cut_answer", 90)])),
    ("boilerplate", lambda t: _case(t, findings=[_finding("boilerplate", 120)])),
    ("style_drift", lambda t: _case(t, findings=[_finding("style_drift", 0)])),
    ("damaged_text", lambda t: _case(t, findings=[_finding("encoding", 200)])),
    ("duplicates", lambda t: _case(t, findings=[_finding("duplicate", 200)])),
    ("template_mismatch", lambda t: _case(t, rows=_rows(300, 1, system=SYSTEM))),
    ("template_mismatch", lambda t: _case(t, test=_rows(60, 2, system=SYSTEM))),
    ("template_mismatch", lambda t: _case(t, rows=_rows(300, 1, before="Il cliente chiede: "))),
    ("template_unlike_base", lambda t: _case(t, "chat.template=chatml", own=CUSTOM)),
    ("leakage", lambda t: _case(t, test=_rows(300, 1)[:30] + _rows(30, 2))),
    ("distribution_shift", lambda t: _case(t, test=_rows(60, 2, words=OTHERS), loss=3.4)),
    ("test_too_small", lambda t: _case(t, wide=0.6)),
]  # fmt: skip


def test_a_healthy_run_has_no_cause_of_weight(decoder_tokenizer):
    found = rank_text_causes(_case(decoder_tokenizer))
    assert [cause.name for cause in found if cause.severity != "low"] == []


@pytest.mark.parametrize(("name", "make"), PLANTED)
def test_a_planted_cause_comes_first(decoder_tokenizer, name, make):
    found = rank_text_causes(make(decoder_tokenizer))
    assert found[0].name == name
    assert found[0].message
    assert found[0].evidence or name == "style_drift"
    assert found[0].fix
    assert found[0].gain
    parse("{task: chat, name: a, data: {train: a.jsonl}}",
          [f"{key}={value}" for key, value in found[0].changes.items()])  # fmt: skip


def _named(case, name):
    return next((cause for cause in rank_text_causes(case) if cause.name == name), None)


def test_nothing_is_said_of_accuracy_where_answers_are_texts(decoder_tokenizer):
    for _, make in PLANTED:
        for cause in rank_text_causes(make(decoder_tokenizer)):
            said = " ".join([cause.message, *cause.evidence, cause.fix, cause.gain])
            assert "accuracy" not in said
            assert "label" not in said
            assert "nan" not in said.split()


def test_answers_that_go_in_circles_are_counted(decoder_tokenizer):
    case = _case(decoder_tokenizer, ended=0.5, answers="e poi ancora il mare, " * 9)
    assert "30 of these say the same again" in _named(case, "end_not_learned").evidence[1]


def test_answers_longer_than_the_limit_are_no_fault_of_the_end_token(decoder_tokenizer):
    case = _case(decoder_tokenizer, "chat.max_new_tokens=4", ended=0.0)
    assert _named(case, "end_not_learned") is None


def test_the_words_of_the_system_are_set_where_rows_leave_them_out(decoder_tokenizer):
    taught = _case(decoder_tokenizer, rows=_rows(300, 1, system=SYSTEM))
    assert _named(taught, "template_mismatch").changes == {"chat.system": SYSTEM}
    given = _case(decoder_tokenizer, test=_rows(60, 2, system=SYSTEM))
    assert _named(given, "template_mismatch").changes == {"chat.system": SYSTEM}
    both = _case(
        decoder_tokenizer, rows=_rows(300, 1, system="Rispondi."), test=_rows(60, 2, system=SYSTEM)
    )
    assert _named(both, "template_mismatch").changes == {}
    filled = _case(decoder_tokenizer, f"chat.system={SYSTEM}", rows=_rows(300, 1, system=SYSTEM))
    assert _named(filled, "template_mismatch") is None


def test_a_template_that_writes_the_same_is_no_other_one(decoder_tokenizer):
    case = _case(decoder_tokenizer)
    alike = case.template.source.replace("END", "'<|im_end|>'")
    assert _named(_case(decoder_tokenizer, own=alike), "template_unlike_base") is None


def test_leaked_rows_that_score_no_better_are_not_called_too_good(decoder_tokenizer):
    test = _rows(300, 1)[:30] + _rows(30, 2)
    better = np.array([10.0] * 30 + [50.0] * 30)
    known = _named(_case(decoder_tokenizer, test=test, losses=better), "leakage")
    assert "too good to be true" in known.message
    assert "loss on rows that training saw 0.50, on the others 2.50" in known.evidence
    assert set(known.repairs) == {f"a.jsonl:{row}" for row in range(1, 31)}
    same = _named(_case(decoder_tokenizer, test=test, losses=better[::-1]), "leakage")
    assert "too good" not in same.message
    assert same.weight < known.weight


def test_a_rise_of_loss_counts_as_perplexity(decoder_tokenizer):
    # 5 % more loss is 1.2 times the perplexity where there are 3.5 nats.
    slight = _epochs(train=(3.9, 3.8, 3.7, 3.6), held=(3.5, 3.7, 3.6, 3.55, 3.52))
    case = _case(decoder_tokenizer, "training.learning_rate=0.05", epochs=slight)
    assert rank_text_causes(case)[0].name == "learning_rate_high"


def test_a_base_that_knows_the_test_rows_is_not_called_blank(decoder_tokenizer):
    # Damaged training rows are hard for any base.
    assert _named(_case(decoder_tokenizer, epochs=BLANK), "base_unsuited") is None


def test_another_manner_in_the_test_of_another_topic_is_a_shift(decoder_tokenizer):
    split = _finding("style_split", 0)
    other = _case(decoder_tokenizer, test=_rows(60, 2, words=OTHERS), loss=2.4, findings=[split])
    assert rank_text_causes(other)[0].name == "distribution_shift"
    assert rank_text_causes(_case(decoder_tokenizer, findings=[split]))[0].name == "style_drift"


def test_slices_and_errors_are_of_losses(decoder_tokenizer):
    test = _rows(40, 2) + _rows(20, 3, turns=4)
    losses = np.array([20.0] * 40 + [80.0] * 20) + np.arange(60)
    case = _case(decoder_tokenizer, test=test, losses=losses, loss=2.5)
    weakest = text_slices(case)[0]
    assert (weakest.kind, weakest.name, weakest.rows, weakest.weak) == (
        "turns", "several questions", 20, True,
    )  # fmt: skip
    assert weakest.metric == "token_loss"
    worst = text_errors(case)[0]
    assert worst.target == test[-1].target
    assert worst.confidence == pytest.approx(math.exp(-139 / 20))
    assert len(worst.neighbors) == 3
    assert "100% of the answers end by themselves" in text_symptom(case)


def test_every_fix_is_one_that_texts_can_hear(decoder_tokenizer, accepted):
    cases = [make(decoder_tokenizer) for _, make in PLANTED]
    longest = {"truncated": list(range(200)), "longest_tokens": 99_999}
    cases.append(_case(decoder_tokenizer, facts=longest))
    named = {accepted(cause, c.recipe).name for c in cases for cause in rank_text_causes(c)}
    assert named == {name for name, _ in PLANTED}


KNOWING = [
    # held-out loss of the base and in the end, training loss in the end, and what was left of it
    (3.5, 3.45, 3.44, 1.0),  # below log(vocabulary) from the start, and hardly below it in the end
    (3.5, 2.1, 1.7, 0.1),
    (1.2, 1.1, 1.15, 1.0),
    (6.0, 5.7, 5.6, 1.0),  # random weights: as before
    (6.0, 2.2, 1.9, 0.1),
]


@pytest.mark.parametrize(("base", "end", "train", "left"), KNOWING)
def test_what_was_learnt_is_told_beside_the_loss_of_the_base(
    decoder_tokenizer, base, end, train, left
):
    epochs = _epochs(train=(train + 0.02, train), held=(base, end + 0.01, end))
    case = _case(decoder_tokenizer, epochs=epochs, base=base)
    assert case.training.underfit == pytest.approx(left, abs=0.1)


def test_a_small_rank_on_a_base_that_knows_much_is_named(decoder_tokenizer):
    epochs = _epochs(train=(3.46, 3.45, 3.44), held=(3.5, 3.46, 3.45, 3.44))
    case = _case(decoder_tokenizer, "adapter.rank=4", "adapter.alpha=8", epochs=epochs, loss=3.44)
    found = rank_text_causes(case)
    assert found[0].name == "rank_too_small"
    assert "3.500 was that of the base" in found[0].evidence[0]
    learnt = _case(decoder_tokenizer, "adapter.rank=4", "adapter.alpha=8")
    assert (
        _named(learnt, "rank_too_small").weight < found[0].weight / 2
        if _named(learnt, "rank_too_small")
        else True
    )
