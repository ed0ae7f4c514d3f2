"""Does an answer keep the rules of a constitution, and what in it does not?"""

import re
from collections.abc import Callable, Sequence
from functools import cache

from fucina.config import RuleConfig
from fucina.metrics.wording import sentences, words

__all__ = ["applies", "broken"]


def applies(rule: RuleConfig, prompt: str) -> bool:
    """Whether a rule is for the answer to a question.

    Example:
        >>> applies(RuleConfig(name="storm", must="no", when="mare"), "Esco in MARE?")
        True
    """
    return rule.when is None or _compiled(rule.when).search(prompt) is not None


def broken(
    rules: Sequence[RuleConfig],
    prompt: str,
    answer: str,
    *,
    guess_language: Callable[[str], str],
) -> list[tuple[str, str]]:
    """Find the rules that an answer breaks; those in words are for a judge, not looked at here.

    Expressions match anywhere and in either case; `(?-i:…)` matches the case as it is written.

    Args:
        rules: What to keep.
        prompt: The question, for rules with `when`.
        answer: What was said.
        guess_language: Gives the code of a text's language; empty where it cannot tell.

    Returns:
        Name and evidence in words of each rule that is broken.

    Example:
        >>> rules = [RuleConfig(name="short", max_words=3), RuleConfig(name="calm", must_not="wow")]
        >>> broken(rules, "E domani?", "Wow, domani cala il vento", guess_language=lambda _: "")
        [('short', '5 words, at most 3'), ('calm', "says 'Wow'")]
    """
    found = []
    for rule in rules:
        if rule.judge is None and applies(rule, prompt):
            evidence = _evidence(rule, answer, guess_language)
            if evidence:
                found.append((rule.name, evidence))
    return found


def _evidence(rule: RuleConfig, answer: str, guess_language: Callable[[str], str]) -> str:
    """What breaks the rule; empty where it is kept."""
    if rule.must is not None:
        lacking = [p for p in rule.must if not _compiled(p).search(answer)]
        return f"nothing matches {lacking[0]}" if lacking else ""
    if rule.must_not is not None:
        hits = [hit.group() for p in rule.must_not for hit in _compiled(p).finditer(answer)]
        return f"says {', '.join(repr(hit) for hit in dict.fromkeys(hits))}" if hits else ""
    if rule.language is not None:
        spoken = guess_language(answer)
        return f"speaks {spoken}, not {rule.language}" if spoken not in {"", rule.language} else ""
    if rule.max_sentences is not None:
        count = len(sentences(answer))
        return f"{count} sentences, at most {rule.max_sentences}" * (count > rule.max_sentences)
    count = len(words(answer))
    if rule.max_words is not None:
        return f"{count} words, at most {rule.max_words}" * (count > rule.max_words)
    fewest = rule.min_words or 0
    return f"{count} words, at least {fewest}" * (count < fewest)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
