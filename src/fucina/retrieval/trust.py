"""How sure it is that what was found answers a question."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp

import numpy as np

from fucina.errors import DataError
from fucina.records import Hit

__all__ = ["SHIPPED", "Trust", "calibrated"]

FEWEST = 10  # questions of each kind that a calibration needs


@dataclass(frozen=True)
class Trust:
    """A logistic curve over the best nearness and the best coverage of what was found.

    Attributes:
        nearness: Weight of the best cosine.
        coverage: Weight of the best share of the question's words.
        bias: Added.
        questions: From how many questions it was learnt.
    """

    nearness: float
    coverage: float
    bias: float
    questions: int

    def sure(self, hits: Sequence[Hit]) -> float:
        """Probability that one of the hits has the answer, 0 to 1; 0 without hits.

        Example:
            >>> SHIPPED.sure([])
            0.0
        """
        if not hits:
            return 0.0
        near, covered = _best(hits)
        return 1 / (1 + exp(-(self.nearness * near + self.coverage * covered + self.bias)))

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))


def _best(hits: Sequence[Hit]) -> tuple[float, float]:
    return max(hit.nearness for hit in hits), max(hit.coverage for hit in hits)


# As `fucina ask INDEX --questions questions_learn.jsonl --calibrate` learns it in examples/persona.
SHIPPED = Trust(5.1, 3.7, -3.8, 0)


def calibrated(found: Sequence[Sequence[Hit]], answered: Sequence[bool]) -> Trust:
    """Learn the curve from questions of which it is known whether what was found answers them.

    Args:
        found: The hits of each of n questions.
        answered: Whether one of them has the answer, n.

    Raises:
        DataError: There are too few of either kind.
    """
    from sklearn.linear_model import LogisticRegression

    yes = sum(answered)
    for count, kind in ((yes, "with"), (len(answered) - yes, "without")):
        if count < FEWEST:
            raise DataError(
                f"{count} questions {kind} an answer in the documents, {FEWEST} are needed.",
                fix="Add questions of both kinds; those without an answer have no answer field.",
            )
    rows = np.array([_best(hits) if hits else (0.0, 0.0) for hits in found])
    model = LogisticRegression(C=10).fit(rows, np.array(answered))
    (nearness, coverage), (bias,) = model.coef_[0].tolist(), model.intercept_.tolist()
    return Trust(nearness, coverage, bias, len(answered))
