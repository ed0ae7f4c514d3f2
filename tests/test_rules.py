"""Rules answer the same wherever they are asked: as a baseline, and in a model's place."""

import re

import pytest

from fucina.errors import RecipeError
from fucina.records import Span
from fucina.rules import load_rules

LABELS = ("ordine", "reso", "altro")
WRITTEN = r"""
rules:
  - label: ordine
    keywords: [dov'è, pacco]
    reply: Il pacco è in viaggio.
  - label: reso
    pattern: ["rimbors\\w+", "soldi indietro"]
  - label: altro
    command: [/reso, /aiuto]
    reply: "Comandi: /reso, /aiuto."
    priority: 5
default: altro
reply: Non ho capito.
"""


@pytest.fixture
def read(tmp_path):
    def read(text=WRITTEN, **options):
        path = tmp_path / "rules.yaml"
        path.write_text(text, encoding="utf-8")
        return load_rules(path, options.pop("labels", LABELS), **options)

    return read


@pytest.mark.parametrize(("text", "rule", "label", "reply"), [
    ("Dov'è il mio PACCO?", 1, "ordine", "Il pacco è in viaggio."),
    ("pacchetto", 0, "altro", "Non ho capito."),  # a keyword stands by itself
    ("un rimborso", 2, "reso", None),
    ("il pacco, e un rimborso", 1, "ordine", "Il pacco è in viaggio."),  # the first of equals
    ("/reso del pacco", 3, "altro", "Comandi: /reso, /aiuto."),  # priority goes before place
    ("  /AIUTO", 3, "altro", "Comandi: /reso, /aiuto."),
    ("/resort", 0, "altro", "Non ho capito."),
    ("scrivi /reso", 0, "altro", "Non ho capito."),
    ("", 0, "altro", "Non ho capito."),
])  # fmt: skip
def test_the_first_rule_that_is_found_answers(text, rule, label, reply, read):
    found = read().match(text)
    assert (found.rule, found.label, found.reply) == (rule, label, reply)


def test_labels_are_certain_and_none_is_where_nothing_is_said(read):
    rules = read("rules: [{label: reso, keywords: soldi}]")
    found = rules.label(["i soldi", "perché"], LABELS)
    assert found.probabilities.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert found.prompts == ("i soldi", "perché")


def test_spans_are_found_everywhere_and_apart(read):
    text = "Nerina è a Forlì; Nerina Rossi no."
    rules = read(
        "rules:\n  - {label: LOC, keywords: Forlì}\n  - {label: PER, keywords: Nerina}\n"
        "  - {label: PER, pattern: Nerina Rossi, priority: 1}\n  - {reply: ciao, keywords: no}",
        labels=("LOC", "PER"),
    )
    assert rules.mark(text) == (Span(0, 6, "PER"), Span(11, 16, "LOC"), Span(18, 30, "PER"))


@pytest.mark.parametrize(("text", "options", "message"), [
    ("rules: [{label: resi, keywords: x}]", {}, "rule 1: no label 'resi' in the data. Fix: did you mean 'reso'?"),
    ("rules: []\ndefault: resi", {}, "default: no label 'resi'"),
    ("rules: []", {"always": True}, "has no default:"),
    ("rules:\n  - label: reso\n    comand: /reso", {}, "rules.1.comand (line 3). Fix: rules.1.comand: did you mean 'command'?"),
    ("rules:\n  - keywords: x", {}, "rules.1 (line 2): it has neither label nor reply"),
    ("rules:\n  - label: reso", {}, "neither keywords nor pattern nor command"),
    ("rules: [{label: reso, command: reso}]", {}, "'reso' is no command; one is like /reso"),
    ("rules: [{label: reso, pattern: '(x'}]", {}, "'(x' is no regular expression"),
    ("default: reso", {}, "rules is missing"),
    ("- reso", {}, "has no list rules:"),
    ("rules: [", {}, "is not YAML"),
])  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(text, options, message, read):
    with pytest.raises(RecipeError, match=re.escape(message)):
        read(text, **options)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_says_so(content, tmp_path):
    path = tmp_path / "rules.yaml"
    if content:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match="cannot be read"):
        load_rules(path)
