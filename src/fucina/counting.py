"""How many tokens rows hold, before they are cut into passes: those read, learnt and asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fucina.models.conversations import LEAST_SHARED, common_beginning, write
from fucina.models.label_words import ask, spell
from fucina.models.pairs import pair
from fucina.models.tokenize import encode

if TYPE_CHECKING:
    from fucina.config import ChatConfig
    from fucina.models.pairing import Pairing
    from fucina.models.template import Template
    from fucina.records import Example, Message, Split

__all__ = ["Counts", "of_labels", "of_names", "of_pairs", "of_texts", "token_counts"]

Row = TypeVar("Row")

SAMPLE = 2000  # texts that are tokenized; more would take longer than the estimate is worth
WRITTEN = 500  # conversations; a template takes some milliseconds for each, as long as a short pass
LETTERS_A_TOKEN = 4.0  # where there is no tokenizer
TURN_TOKENS = 5  # that a template writes around a turn


def _none() -> np.ndarray:
    return np.zeros(0, dtype=int)


@dataclass(frozen=True)
class Counts:
    """The tokens of rows.

    Attributes:
        lengths: Of n development rows, behind the beginning they share.
        test: Of m test rows, whole.
        truncated: Share of rows longer than the limit.
        prefix: Tokens that all development rows begin with.
        learnt: Learnt tokens of the n rows; empty for labels.
        test_learnt: Of the m test rows; empty for labels.
        asked: Of the m prompts, behind the beginning they share; empty for labels.
        begun: Tokens that all prompts begin with.
        read: Tokens that an encoder reads of the n rows; empty where one network reads all.
        test_read: Of the m test rows.
        weighed: Of the n rows, with the names of all labels; empty where none are weighed.
        names: N, tokens of these names as one tree.
    """

    lengths: np.ndarray
    test: np.ndarray
    truncated: float = 0.0
    prefix: int = 0
    learnt: np.ndarray = field(default_factory=_none)
    test_learnt: np.ndarray = field(default_factory=_none)
    asked: np.ndarray = field(default_factory=_none)
    begun: int = 0
    read: np.ndarray = field(default_factory=_none)
    test_read: np.ndarray = field(default_factory=_none)
    weighed: np.ndarray = field(default_factory=_none)
    names: int = 0


def of_labels(split: "Split", tokenizer: Any | None, most: int) -> Counts:
    """Count prompts that are answered with a label.

    Args:
        split: Rows and folds.
        tokenizer: Of the base; None to guess from characters.
        most: Tokens at which texts are cut.
    """
    lengths, cut = token_counts(split.development.prompts, tokenizer, most)
    test, _ = token_counts(split.test.prompts, tokenizer, most)
    return Counts(lengths, test, cut / max(1, len(lengths)))


def token_counts(texts: Sequence[str], tokenizer: Any | None, most: int) -> tuple[np.ndarray, int]:
    """Tokens of n texts after the cut, and how many of them were longer.

    Of many texts a sample is tokenized and stands for the rest. Without a tokenizer, tokens are
    guessed from characters.

    Example:
        >>> lengths, cut = token_counts(["a" * 40, "b" * 400], None, 64)
        >>> lengths.tolist(), cut
        ([12, 64], 1)
    """
    if tokenizer is None:
        counts = np.array([2 + _guess(text) for text in texts], dtype=int)
        return np.minimum(counts, most), int((counts > most).sum())
    some = _sample(texts, SAMPLE)
    encoded = encode(some, tokenizer, max_length_tokens=most)
    share = len(texts) / max(1, len(some))
    lengths = np.resize(encoded.lengths, len(texts)) if len(encoded) else _none()
    return lengths, round(len(encoded.truncated) * share)


def of_names(
    split: "Split", template: "Template | None", most: int, config: "ChatConfig"
) -> Counts:
    """Count prompts behind which the names of all labels are weighed.

    Args:
        split: Rows and folds.
        template: Of the base; None to guess from characters.
        most: Tokens of a row at most.
        config: What the system says.

    Raises:
        ModelError: The names of labels cannot be told apart, or do not fit.
    """
    if template is None:
        counts = _guessed(split, most, config)
        tree = sum(_guess(label) for label in split.labels)
        test = counts.test - counts.test_learnt + tree
        return replace(counts, test=test, weighed=counts.lengths - counts.learnt + tree, names=tree)
    names, sides = spell(split.labels, template), []
    for rows in (split.development, split.test):
        some = _sample(rows.prompts, WRITTEN)
        asked = ask(some, names, template, most=most)
        own = np.array([len(prompt) for prompt in asked.prompts], dtype=int) - asked.prefix
        sides.append((np.resize(own, len(rows)), asked.prefix, len(asked.cut) / max(1, len(some))))
    (lengths, prefix, cut), (test, begun, _) = sides
    sizes = {label: len(tokens) for label, tokens in zip(names.labels, names.tokens, strict=True)}
    learnt = np.array([sizes[target] for target in split.development.targets], dtype=int)
    tree = len(names.trie)
    return Counts(
        lengths=lengths + learnt,
        test=test + tree,
        truncated=cut,
        prefix=prefix,
        learnt=learnt,
        begun=begun,
        weighed=lengths + tree,
        names=tree,
    )


def of_texts(
    split: "Split", template: "Template | None", most: int, config: "ChatConfig"
) -> Counts:
    """Count conversations; of many a sample is written and stands for the rest.

    Args:
        split: Rows and folds.
        template: Of the base; None to guess from characters.
        most: Tokens of a row at most.
        config: What the system says, and which turns are learnt.

    Raises:
        DataError: The template refuses a row.
    """
    n, m = len(split.development), len(split.test)
    if template is None:
        return _guessed(split, most, config)
    rows = _sample(split.development.examples, WRITTEN)
    test = _sample(split.test.examples, WRITTEN)
    written = write(rows, template, max_length_tokens=most)
    whole = write(test, template, max_length_tokens=most).without_prefix()
    prompts = [template.asked(example)[-most:] for example in test]
    begun = common_beginning(prompts)
    return Counts(
        lengths=np.resize(written.lengths, n),
        test=np.resize(whole.lengths, m),
        truncated=len(written.cut) / max(1, len(rows)),
        prefix=written.prefix,
        learnt=np.resize(written.weights, n),
        test_learnt=np.resize(whole.weights, m),
        asked=np.resize(np.array([len(prompt) for prompt in prompts], dtype=int) - begun, m),
        begun=begun,
    )


def of_pairs(split: "Split", pairing: "Pairing | None", most: int, config: "ChatConfig") -> Counts:
    """Count rows of an encoder-decoder; of many a sample is written and stands for the rest.

    Args:
        split: Rows and folds.
        pairing: Of the base; None to guess from characters.
        most: Tokens of each side of a row at most.
        config: What the system says.
    """
    sides, cut = [], 0.0
    for examples in (split.development.examples, split.test.examples):
        rows = _sample(examples, WRITTEN)
        if pairing is None:
            said = [_said(example, config) for example in rows]
            read = np.array([1 + _guess(before) for before, _, _ in said], dtype=int)
            written = np.array([_guess(row.target) + 1 for row in rows], dtype=int)
            long = float((read > most).mean()) if len(rows) else 0.0
        else:
            pairs = pair(rows, pairing, max_length_tokens=most)
            read, written = pairs.source_lengths, pairs.target_lengths
            long = len(pairs.cut) / max(1, len(rows))
        cut = long if not sides else cut
        size = len(examples)
        sides.append((np.resize(np.minimum(read, most), size), np.resize(written, size)))
    (read, learnt), (test_read, test_learnt) = sides
    return Counts(
        lengths=read + learnt,
        test=test_read + test_learnt,
        truncated=cut,
        learnt=learnt,
        test_learnt=test_learnt,
        asked=test_read,
        read=read,
        test_read=test_read,
    )


def _guessed(split: "Split", most: int, config: "ChatConfig") -> Counts:
    """The same from characters; what prompts share is what they all begin with."""
    sides = []
    for rows in (split.development.examples, split.test.examples):
        said = [_said(example, config) for example in rows]
        letters = common_beginning([np.array([*before]) for before, _, _ in said])
        learnt = np.array([own for _, own, _ in said], dtype=int)
        whole = np.array([tokens for _, _, tokens in said], dtype=int)
        asked = np.array([TURN_TOKENS + _guess(before) for before, _, _ in said], dtype=int)
        asked = np.minimum(asked, most)
        shared = min(round(letters / LETTERS_A_TOKEN), int(asked.min(initial=most)) - 1)
        shared = shared if shared >= LEAST_SHARED else 0
        sides.append((shared, np.minimum(learnt, most), whole, asked))
    (prefix, learnt, whole, _), (begun, test_learnt, test, asked) = sides
    return Counts(
        lengths=np.minimum(whole, most) - prefix,
        test=np.minimum(test, most),
        truncated=float((whole > most).mean()) if len(whole) else 0.0,
        prefix=prefix,
        learnt=learnt,
        test_learnt=test_learnt,
        asked=asked - begun,
        begun=begun,
    )


def _said(example: "Example", config: "ChatConfig") -> tuple[str, int, int]:
    """All before the last answer, guessed tokens that are learnt, and guessed tokens in all."""
    turns = [(message.role, message.content) for message in example.messages]
    turns = turns or [("user", example.prompt), ("assistant", example.target)]
    if config.system is not None and turns[0][0] != "system":
        turns.insert(0, ("system", config.system))
    answers = [_guess(turn.content) + 1 for turn in example.messages if _answers(turn)]
    answers = answers or [_guess(example.target) + 1]
    learnt = sum(answers if config.supervise == "assistant" else answers[-1:])
    whole = sum(TURN_TOKENS + _guess(text) for _, text in turns)
    return "".join(text for _, text in turns[:-1]), learnt, whole


def _answers(turn: "Message") -> bool:
    return turn.role == "assistant" and turn.learnt


def _guess(text: str) -> int:
    return round(len(text) / LETTERS_A_TOKEN)


def _sample(rows: Sequence[Row], most: int) -> Sequence[Row]:
    """All rows, or so many at even distances."""
    if len(rows) <= most:
        return rows
    return [rows[row] for row in np.linspace(0, len(rows) - 1, most).astype(int).tolist()]
