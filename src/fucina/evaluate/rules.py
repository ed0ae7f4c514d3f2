"""A user's rules as a baseline: patterns and keywords in a YAML file, first match wins.

rules:
  - label: order_tracking
    keywords: [dov'è il mio ordine, tracking]
  - label: technical_support
    pattern: "non (si accende|funziona)"
default: general_inquiry
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML, YAMLError

from fucina.errors import RecipeError, nearest
from fucina.records import Dataset, Predictions

__all__ = ["Rules", "answer", "load_rules"]

KEYS = {"label", "keywords", "pattern"}


@dataclass(frozen=True)
class Rules:
    """Patterns in order with the label each gives, and the label when none matches."""

    patterns: tuple[tuple[re.Pattern[str], str], ...]
    default: str


def load_rules(path: Path, labels: tuple[str, ...]) -> Rules:
    """Read a rule file.

    Raises:
        RecipeError: It is missing or broken, or names a label that does not exist.
    """
    try:
        tree = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise RecipeError(
            f"evaluation.rules: {path} cannot be read: {str(error).splitlines()[0]}.",
            fix="Give a YAML file with rules: and default:.",
        ) from error
    if not isinstance(tree, dict) or not isinstance(tree.get("rules"), list):
        raise RecipeError(f"{path} has no list rules:.", fix="Write rules: and below it - label: …")
    patterns: list[tuple[re.Pattern[str], str]] = []
    for number, rule in enumerate(tree["rules"], start=1):
        strange = set(rule) - KEYS if isinstance(rule, dict) else {rule}
        if strange:
            raise RecipeError(
                f"{path}, rule {number}: {', '.join(map(repr, strange))} is not known there.",
                fix="A rule has label, and keywords or pattern.",
            )
        label = _known(str(rule.get("label", "")), labels, f"{path}, rule {number}")
        given = rule.get("keywords") or []
        words = [re.escape(str(word)) for word in ([given] if isinstance(given, str) else given)]
        given = [rf"(?<!\w)(?:{'|'.join(words)})(?!\w)"] if words else []
        given += [str(rule["pattern"])] if "pattern" in rule else []
        if not given:
            raise RecipeError(
                f"{path}, rule {number} has neither keywords nor pattern.", fix="Add one of them."
            )
        try:
            patterns += [(re.compile(text, re.IGNORECASE), label) for text in given]
        except re.error as error:
            raise RecipeError(
                f"{path}, rule {number}: {error}.", fix="Mend the regular expression."
            ) from error
    return Rules(tuple(patterns), _known(str(tree.get("default", "")), labels, f"{path}, default"))


def answer(rules: Rules, test: Dataset, labels: tuple[str, ...]) -> Predictions:
    """Answer each row by the first rule that matches, else by the default."""
    probabilities = np.zeros((len(test), len(labels)))
    for row, prompt in enumerate(test.prompts):
        hit = next((label for rule, label in rules.patterns if rule.search(prompt)), rules.default)
        probabilities[row, labels.index(hit)] = 1.0
    return Predictions(labels, probabilities, tuple(test.targets), tuple(test.prompts))


def _known(label: str, labels: tuple[str, ...], where: str) -> str:
    if label not in labels:
        raise RecipeError(f"{where}: no label {label!r} in the data.", fix=nearest(label, labels))
    return label
