"""Causes in the texts: cut, repeated, damaged."""

import numpy as np

from fucina.config import ModelConfig
from fucina.diagnose.case import Case
from fucina.diagnose.causes.weights import points, within
from fucina.diagnose.span_case import SpanCase
from fucina.records import Cause

__all__ = ["damaged_text", "duplicates", "truncation"]

SHOWN = 5


def truncation(case: "Case | SpanCase") -> Cause | None:
    """Texts lose their end, and with it what tells the label."""
    cut = case.facts.get("truncated", [])
    share = len(cut) / max(1, len(case.development))
    if share < 0.02:
        return None
    most = case.facts.get("longest_tokens", 0)
    limit = case.recipe.model.max_length_tokens
    wanted = within(ModelConfig, "max_length_tokens", max(most, limit))
    return Cause(
        "truncation",
        float(np.clip(0.3 + 1.4 * share, 0, 0.97)),
        f"{share:.0%} of the texts are longer than model.max_length_tokens={limit} and lose their "
        f"end; the longest has {most} tokens.",
        tuple(
            f"{case.development.examples[row].origin}: {case.development.examples[row].prompt}"
            for row in cut[:SHOWN]
        ),
        f"Set model.max_length_tokens={wanted}, or split long texts.",
        "not known before it is tried: --test-cause measures it.",
        {"model.max_length_tokens": wanted},
    )


def duplicates(case: "Case | SpanCase") -> Cause | None:
    """Many rows are copies of a few."""
    seen: dict[tuple[str, str], int] = {}
    copies = []
    for row, example in enumerate(case.development.examples):
        key = (" ".join(example.prompt.casefold().split()), example.target)
        if key in seen:
            copies.append(row)
        seen.setdefault(key, row)
    share = len(copies) / max(1, len(case.development))
    if share < 0.1:
        return None
    distinct = len(case.development) - len(copies)
    return Cause(
        "duplicates",
        float(np.clip(0.3 + 0.8 * share, 0, 0.95)),
        f"{len(copies)} of {len(case.development)} training rows ({share:.0%}) repeat another row: "
        f"there are {distinct} different ones.",
        tuple(f"{case.development.examples[r].origin}: {case.development.examples[r].prompt}"
              for r in copies[:SHOWN]),
        "Leave the copies out (fucina audit --fix) and label different texts instead.",
        f"better balance at once; about as much as {distinct} rows can give.",
        repairs={case.development.examples[row].origin: None for row in copies},
    )  # fmt: skip


def damaged_text(case: Case) -> Cause | None:
    """Characters that a wrong encoding left behind."""
    found = case.finding("encoding")
    if found is None or not found.rows:
        return None
    rows = len(case.development) + len(case.test.targets)
    share = len(found.rows) / max(1, rows)
    if share < 0.02:
        return None
    return Cause(
        "damaged_text",
        float(np.clip(0.4 + 1.2 * share, 0, 0.95)),
        f"{len(found.rows)} of {rows} texts ({share:.0%}) were read in a wrong encoding.",
        found.evidence[:SHOWN],
        "Write mended copies: fucina audit RECIPE --fix FOLDER; or set data.encoding.",
        f"up to {points(share / 2)} where the same words are whole elsewhere.",
        repairs={row: text for row, text in found.repairs.items() if isinstance(text, str)},
    )
