"""A user's rules: patterns, keywords and slash commands in a YAML file, the first match wins.

rules:
  - label: order_tracking
    keywords: [dov'è il mio ordine, tracking]
    reply: Il numero del pacco è nella posta che conferma l'ordine.
  - label: technical_support
    pattern: "non (si accende|funziona)"
  - label: returns_refunds
    command: /reso
    priority: 10
default: general_inquiry

The same rules are a baseline where a run is judged, and answer where a model that is served does
not.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from fucina.config import AnswerRuleConfig, RulesConfig
from fucina.errors import RecipeError, nearest
from fucina.records import Predictions, Span
from fucina.settings_file import explain, lines, plain, read_yaml

__all__ = ["Match", "Rule", "Rules", "load_rules"]


@dataclass(frozen=True)
class Rule:
    """One rule, ready to be used.

    Attributes:
        number: Its place in the file, counted from 1.
        label: What it gives; None where it only replies.
        reply: What it says; None where it only labels.
        patterns: One of them must be found.
    """

    number: int
    label: str | None
    reply: str | None
    patterns: tuple[re.Pattern[str], ...]


@dataclass(frozen=True)
class Match:
    """What rules make of a text.

    Attributes:
        rule: Number of the rule in its file; 0 where the default holds.
        label: As the rule has it.
        reply: As the rule has it.
    """

    rule: int
    label: str | None
    reply: str | None


@dataclass(frozen=True)
class Rules:
    """Rules in the order in which they are tried, and what holds where none matches.

    Attributes:
        rules: Those of high priority first.
        default: The label where none matches; None for no answer.
        reply: What is said there; None for nothing.
    """

    rules: tuple[Rule, ...]
    default: str | None = None
    reply: str | None = None

    def match(self, text: str) -> Match:
        """What the first rule that is found in a text says, else the default.

        Example:
            >>> made = (Rule(1, "reso", None, (re.compile("rimborso"),)),)
            >>> Rules(made, "altro").match("un rimborso, grazie"), Rules(made, "altro").match("?")
            (Match(rule=1, label='reso', reply=None), Match(rule=0, label='altro', reply=None))
        """
        for rule in self.rules:
            if any(pattern.search(text) for pattern in rule.patterns):
                return Match(rule.number, rule.label, rule.reply)
        return Match(0, self.default, self.reply)

    def label(self, prompts: Sequence[str], labels: tuple[str, ...]) -> Predictions:
        """Label n texts, each with certainty; nothing is certain where no rule and no default is.

        Args:
            prompts: The texts.
            labels: The c labels, in the order of the columns.

        Example:
            >>> made = Rules((Rule(1, "reso", None, (re.compile("rimborso"),)),))
            >>> made.label(["rimborso", "?"], ("altro", "reso")).probabilities.tolist()
            [[0.0, 1.0], [0.0, 0.0]]
        """
        probabilities = np.zeros((len(prompts), len(labels)))
        for row, prompt in enumerate(prompts):
            found = self.match(prompt).label
            if found is not None:
                probabilities[row, labels.index(found)] = 1.0
        return Predictions(labels, probabilities, prompts=tuple(prompts))

    def mark(self, text: str) -> tuple[Span, ...]:
        """All that rules with a label find in a text; of what overlaps, the rule tried first.

        Example:
            >>> made = Rules((Rule(1, "PER", None, (re.compile("Anna|Ugo"),)),))
            >>> made.mark("Anna vede Ugo")
            (Span(start=0, end=4, label='PER'), Span(start=10, end=13, label='PER'))
        """
        found: list[Span] = []
        for rule in self.rules:
            for pattern in rule.patterns if rule.label is not None else ():
                for hit in pattern.finditer(text):
                    begin, end = hit.span()
                    if end > begin and all(end <= s.start or begin >= s.end for s in found):
                        found.append(Span(begin, end, rule.label or ""))
        return tuple(sorted(found))


def load_rules(path: Path, labels: Sequence[str] | None = None, *, always: bool = False) -> Rules:
    """Read a file of rules.

    Args:
        path: The file.
        labels: What rules may give; None where any is right.
        always: They must have an answer to every text, so a default.

    Raises:
        RecipeError: It is missing or broken, or names a label that does not exist; the message has
            the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"the rules in {path} cannot be read: {error}.",
            fix="Give a YAML file with rules: and default:.",
        ) from error
    tree = read_yaml(text, str(path))
    if not isinstance(tree, Mapping):
        raise RecipeError(f"{path} has no list rules:.", fix="Write rules: and below it - label: …")
    try:
        config = RulesConfig.model_validate(plain(tree))
    except ValidationError as error:
        raise explain(error, lines(tree), str(path), RulesConfig) from error
    rules = [_ready(number, rule) for number, rule in enumerate(config.rules, start=1)]
    places = [(f"rule {rule.number}", rule.label) for rule in rules]
    for where, label in [*places, ("default", config.default)]:
        if label is not None and labels is not None and label not in labels:
            raise RecipeError(
                f"{path}, {where}: no label {label!r} in the data.", fix=nearest(label, labels)
            )
    if always and config.default is None:
        raise RecipeError(
            f"{path} has no default:, so not every row is answered.",
            fix="Add default: with the label where no rule matches.",
        )
    order = sorted(rules, key=lambda rule: -config.rules[rule.number - 1].priority)
    return Rules(tuple(order), config.default, config.reply)


def _ready(number: int, rule: AnswerRuleConfig) -> Rule:
    sources = list(rule.pattern)
    if rule.keywords:
        sources.append(rf"(?<!\w)(?:{'|'.join(map(re.escape, rule.keywords))})(?!\w)")
    if rule.command:
        sources.append(rf"\A\s*(?:{'|'.join(map(re.escape, rule.command))})(?!\S)")
    patterns = tuple(re.compile(source, re.IGNORECASE) for source in sources)
    return Rule(number, rule.label, rule.reply, patterns)
