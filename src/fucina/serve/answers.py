"""What models that label or mark say, text by text, and what of it is no answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fucina.engines import Labeller, Marks
from fucina.serve.interface import Failure

__all__ = ["NO_NUMBER", "Found", "as_words", "labelled", "marked"]

NO_NUMBER = Failure("nan", "the model computed what is no number")


@dataclass(frozen=True)
class Found:
    """What a model says to one text.

    Attributes:
        answer: A label, or a list of spans.
        confidence: Of a label.
        more: What else it tells.
    """

    answer: Any
    confidence: float | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


def labelled(engine: Labeller, texts: list[str]) -> list[Found | Failure]:
    """The labels of n texts; what has odds that are no numbers has none."""
    found = engine.label(texts)
    made: list[Found | Failure] = []
    for odds in found.probabilities:
        if not np.isfinite(odds).all():
            made.append(NO_NUMBER)
            continue
        best = int(odds.argmax())
        shown = {name: round(p, 6) for name, p in zip(found.labels, odds.tolist(), strict=True)}
        made.append(Found(found.labels[best], float(odds[best]), {"probabilities": shown}))
    return made


def marked(engine: Marks, texts: list[str]) -> list[Found | Failure]:
    """The spans of n texts."""
    found = engine.mark(texts)
    made: list[Found | Failure] = []
    for text, spans, sure, read in zip(
        texts, found.answers, found.confidences, found.read, strict=True
    ):
        if not np.isfinite(list(sure)).all():
            made.append(NO_NUMBER)
            continue
        own = [
            {"start": span.start, "end": span.end, "label": span.label,
             "text": text[span.start : span.end], "confidence": round(float(one), 6)}
            for span, one in zip(spans, sure, strict=True)
        ]  # fmt: skip
        made.append(Found(own, None, {"cut": bool(read < len(text))}))
    return made


def as_words(answer: Any) -> str:
    """An answer as a conversation has it: words, or spans as JSON.

    Example:
        >>> as_words("reso"), as_words(None), as_words([{"label": "PER"}])
        ('reso', '', '[{"label": "PER"}]')
    """
    if answer is None:
        return ""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
