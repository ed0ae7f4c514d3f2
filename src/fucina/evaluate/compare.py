"""Are two models measurably different on the same rows?"""

from typing import TYPE_CHECKING

import numpy as np

from fucina.errors import RunError
from fucina.evaluate.judge import codes
from fucina.metrics import mcnemar, paired_bootstrap_scores
from fucina.records import Comparison, Predictions

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig

__all__ = ["compare"]


def compare(
    first: tuple[str, Predictions],
    second: tuple[str, Predictions],
    config: "EvaluationConfig",
    *,
    seed: int,
) -> Comparison:
    """Compare two sets of predictions of the same rows in the same order.

    The verdict needs both signs of a difference: the paired bootstrap interval of the accuracy
    leaves zero out, and McNemar's exact test is below 1 - confidence.

    Raises:
        RunError: The rows differ.
    """
    (first_name, one), (second_name, two) = first, second
    if one.prompts != two.prompts or one.targets != two.targets:
        raise RunError(
            f"{first_name} and {second_name} were judged on different rows.",
            fix="Judge both on one file: fucina evaluate RUN --data FILE.",
        )
    targets = codes(one)
    order = [one.labels.index(label) if label in one.labels else -1 for label in two.labels]
    answers = (
        one.probabilities.argmax(axis=1),
        _translate(two, order),
    )
    right = [np.equal(answer, targets) for answer in answers]
    p_value = mcnemar(right[0], right[1])
    differences = paired_bootstrap_scores(
        targets,
        answers[0],
        answers[1],
        len(one.labels),
        samples=config.bootstrap_samples,
        seed=seed,
        confidence=config.confidence,
    )
    gain = differences["accuracy"]
    sure = p_value < 1 - config.confidence and (gain.low > 0 or gain.high < 0)
    if not sure:
        verdict = f"no measurable difference between {first_name} and {second_name}"
    elif gain.value > 0:
        verdict = f"{second_name} is better than {first_name}"
    else:
        verdict = f"{second_name} is worse than {first_name}"
    details = {
        "only_first_right": int((right[0] & ~right[1]).sum()),
        "only_second_right": int((right[1] & ~right[0]).sum()),
        "rows": len(targets),
    }
    return Comparison(first_name, second_name, differences, p_value, verdict, details)


def _translate(predictions: Predictions, order: list[int]) -> np.ndarray:
    return np.array(order)[predictions.probabilities.argmax(axis=1)]
