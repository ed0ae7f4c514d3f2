"""A constitution is read with the line of whatever is wrong in it."""

import pytest

from fucina.data import load_constitution
from fucina.errors import RecipeError


def _load(folder, text):
    (folder / "rules.yaml").write_text(text, encoding="utf-8")
    return load_constitution(folder / "rules.yaml").rules


def test_rules_are_read_with_lists_and_single_expressions(tmp_path):
    rules = _load(
        tmp_path,
        "rules:\n  - {name: corta, max_words: 40, why: è di poche parole}\n  - name: no\n    must_not: [perché sì, boh]\n"
        "  - {name: mare, must: mare, when: barca}\n",
    )
    assert [rule.name for rule in rules] == ["corta", "no", "mare"]
    assert rules[0].why == "è di poche parole"
    assert rules[1].must_not == ("perché sì", "boh")
    assert rules[2].must == ("mare",)


@pytest.mark.parametrize(("text", "problem", "fix"), [
    ("rules:\n  - name: a\n    max_word: 3\n", "max_word (line 3)", "max_words"),
    ("rules:\n  - name: a\n    must: '('\n", "(line 3): '(' is no regular expression", "must"),
    ("rules:\n  - name: a\n", "rule 'a' demands nothing", "max_words"),
    ("rules:\n  - {name: a, must: x, min_words: 2}\n", "has must and min_words", "one of must"),
    ("rules:\n  - max_words: 3\n", "name is missing", "name"),
    ("rules:\n  - {name: a, max_words: 0}\n", "greater than or equal to 1", "The most words"),
    ("rules:\n  - {name: a, must: x}\n  - {name: a, must: y}\n", "two rules are called 'a'", "rules"),
    ("regole: []\n", "unknown setting regole (line 1)", "rules"),
    ("rules: []\n", "no rule in it", "one of must"), ("- a\n", "rules", "rules"), ("rules: [\n", "is not YAML", "line"),
    ("boh\n", "holds no rules", "rules:"), ("", "holds no rules", "rules:"),
])  # fmt: skip
def test_a_wrong_rule_is_named_with_its_line_and_a_fix(text, problem, fix, tmp_path):
    with pytest.raises(RecipeError) as caught:
        _load(tmp_path, text)
    assert problem in caught.value.problem
    assert fix in caught.value.fix


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"chat\.constitution: .*boh\.yaml"):
        load_constitution(tmp_path / "boh.yaml")
