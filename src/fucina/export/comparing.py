"""Answers of an export and of the trained model to the same texts, held against each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fucina.models.tokenize import encode
from fucina.records import Check, Predictions, Spans

if TYPE_CHECKING:
    from fucina.engines.onnx_folder import Exported
    from fucina.models.ensemble import Ensemble
    from fucina.models.marker import Marker

    Answers = Predictions | Spans

__all__ = ["equal", "near", "same_tokens"]


def same_tokens(
    name: str, export: "Exported", model: "Ensemble | Marker", prompts: Sequence[str]
) -> Check:
    """Whether an export reads texts as the trained model does.

    Args:
        name: What computes.
        export: The opened folder.
        model: The trained model.
        prompts: The texts.
    """
    most, base = export.facts.max_length_tokens, model.base
    wanted = encode(prompts, base.tokenizer, max_length_tokens=most).ids
    found = encode(prompts, export.words, max_length_tokens=most).ids
    same = [np.array_equal(one, other) for one, other in zip(wanted, found, strict=True)]
    share = float(np.mean(same)) if same else 1.0
    return Check("prompt tokens", name, len(same), share, 1.0, share == 1.0, _rows(same))


def near(name: str, wanted: "Answers", found: "Answers", most: float | None) -> Check:
    """The largest difference of probabilities; of taggers, where they mark the same.

    Args:
        name: What computes.
        wanted: Answers of the trained model.
        found: Those of the export, to the same texts.
        most: What it is held to; None where it is told.
    """
    worst, note = 0.0, ""
    if isinstance(wanted, Predictions) and isinstance(found, Predictions):
        if len(wanted.probabilities):
            worst = float(np.abs(wanted.probabilities - found.probabilities).max())
    elif isinstance(wanted, Spans) and isinstance(found, Spans):
        note = "of spans that both mark"
        for row, own in enumerate(wanted.answers):
            theirs = dict(zip(found.answers[row], found.confidences[row], strict=True))
            for span, sure in zip(own, wanted.confidences[row], strict=True):
                worst = max(worst, abs(sure - theirs.get(span, sure)))
    cases, passed = len(wanted.prompts), most is None or worst <= most
    return Check("probabilities", name, cases, worst, most, passed, note)


def equal(name: str, wanted: "Answers", found: "Answers", least: float | None) -> Check:
    """The share of equal answers; arguments as above.

    Args:
        name: What computes.
        wanted: Answers of the trained model.
        found: Those of the export.
        least: What it is held to; None where it is told.
    """
    pairs = zip(wanted.answers, found.answers, strict=True)
    same = [one == other for one, other in pairs]
    share = float(np.mean(same)) if same else 1.0
    passed = least is None or share >= least
    return Check("answers", name, len(same), share, least, passed, _rows(same))


def _rows(same: Sequence[bool]) -> str:
    others = [number for number, alike in enumerate(same, start=1) if not alike]
    more = "" if len(others) <= 5 else f" and {len(others) - 5} more"
    return f"rows that differ: {', '.join(map(str, others[:5]))}{more}" if others else ""
