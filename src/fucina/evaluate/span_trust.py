"""How far the confidence of a span can be trusted: whether it is right is a label of its own."""

from typing import TYPE_CHECKING

import numpy as np

from fucina.evaluate.calibrate import calibrate
from fucina.records import Calibration, Predictions, Spans

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig

__all__ = ["calibrate_spans", "whether_right"]

RIGHT = ("right", "wrong")


def whether_right(spans: Spans) -> Predictions:
    """Each marked span as an answer to the question whether it is right, as sure as it was marked.

    Example:
        >>> from fucina.records import Span
        >>> one, other = Span(0, 3, "PER"), Span(7, 11, "LOC")
        >>> answers = Spans(("Ada a Bari",), ((one,),), ((one, other),), ((0.9, 0.6),), (11,), ())
        >>> asked = whether_right(answers)
        >>> asked.targets, asked.probabilities[:, 0].tolist()
        (('right', 'wrong'), [0.9, 0.6])
    """
    rows = zip(spans.prompts, spans.answers, spans.targets, spans.confidences, strict=True)
    found = [
        (prompt, RIGHT[span not in true], sure)
        for prompt, own, true, confidences in rows
        for span, sure in zip(own, confidences, strict=True)
    ]
    sure = np.array([sure for _, _, sure in found], dtype=float)
    return Predictions(
        RIGHT,
        np.stack([sure, 1 - sure], axis=1),
        tuple(target for _, target, _ in found),
        tuple(prompt for prompt, _, _ in found),
    )


def calibrate_spans(
    out_of_fold: Spans, config: "EvaluationConfig", *, seed: int
) -> Calibration | None:
    """Fit one temperature for the confidence of spans; None where no span was marked.

    Args:
        out_of_fold: What members marked in rows they held out.
        config: Whether to calibrate, and the intervals.
        seed: Of the halves and the resamples.
    """
    if not any(out_of_fold.answers):
        return None
    return calibrate(whether_right(out_of_fold), config, seed=seed)
