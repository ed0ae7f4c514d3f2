"""Texts that are cut at the recipe's limit, and texts far from the usual length."""

from collections.abc import Sequence

import numpy as np

from fucina.data.audit.subject import Subject, shown
from fucina.records import Dataset, Finding

__all__ = ["check", "usual_length"]

FAR = 4.0  # robust standard deviations of the logarithm of the length
CANDIDATES = (32, 64, 128, 256, 512, 1024)


def check(subject: Subject) -> list[Finding]:
    """Count tokens with the tokenizer of the base model; without one, only characters."""
    if subject.answer == "text":
        # What a conversation has of tokens its template says: rendering counts them.
        return [
            *_outliers(subject.train, subject.train.prompts, "question(s)"),
            *_outliers(subject.train, subject.train.targets, "answer(s)"),
        ]
    found = _outliers(subject.train, subject.train.prompts, "row(s)")
    if subject.count_tokens is not None and subject.max_length_tokens:
        for rows in subject.sides:
            found += _cut(rows, subject.count_tokens(rows.prompts), subject.max_length_tokens)
    return found


def _cut(rows: Dataset, tokens: np.ndarray, limit: int) -> list[Finding]:
    cut = np.flatnonzero(tokens > limit)
    if not len(cut):
        return []
    table = ", ".join(
        f"{length}: {(tokens > length).sum()}"
        for length in sorted({*CANDIDATES, limit})
        if length >= limit and (tokens > length / 2).any()
    )
    order = cut[np.argsort(-tokens[cut], kind="stable")]
    return [
        Finding(
            "truncated", "warning",
            f"{len(cut)} of {len(rows)} {rows.name} rows are longer than "
            f"model.max_length_tokens={limit} and lose their end (rows cut at a limit of "
            f"{table}).",
            f"Set model.max_length_tokens={int(tokens.max())} if the base reads so many, or put "
            "what matters first.",
            tuple(rows.examples[row].origin for row in order),
            tuple(f"{tokens[row]} tokens: {rows.examples[row].prompt}" for row in order),
        )
    ]  # fmt: skip


def _outliers(rows: Dataset, texts: Sequence[str], what: str) -> list[Finding]:
    lengths = np.array([len(text) for text in texts])
    logs = np.log(np.maximum(lengths, 1))
    shortest, longest = usual_length(texts)
    middle = np.log(shortest * longest) / 2
    far = np.flatnonzero((lengths < shortest) | (lengths > longest))
    if not len(far):
        return []
    order = far[np.argsort(-np.abs(logs[far] - middle), kind="stable")]
    origins = tuple(rows.examples[row].origin for row in order)
    return [
        Finding(
            "length", "note",
            f"{len(far)} {what} are far from the usual length of {np.exp(middle):.0f} characters "
            f"({shown([f'{o}: {lengths[r]}' for o, r in zip(origins, order, strict=True)])}).",
            "Look whether they are whole, and of this task.",
            origins, tuple(texts[row] for row in order),
        )
    ]  # fmt: skip


def usual_length(texts: Sequence[str]) -> tuple[float, float]:
    """The shortest and longest length that is not far from the others, in characters.

    Example:
        >>> low, high = usual_length(["ciao", "a domani", "ci sentiamo", "va bene"] * 5)
        >>> f"{low:.1f} {high:.1f}"
        '2.0 28.6'
    """
    logs = np.log(np.maximum([len(text) for text in texts], 1))
    middle = float(np.median(logs))
    # Of a normal distribution 1.4826 times the median deviation is the standard deviation.
    spread = max(1.4826 * float(np.median(np.abs(logs - middle))), 0.1)
    return float(np.exp(middle - FAR * spread)), float(np.exp(middle + FAR * spread))
