"""How many labels are wrong, by answers of models that never saw the rows."""

import numpy as np

from fucina.metrics.calibration import require_rows

__all__ = ["flipped_share"]

FEWEST_ROWS = 60
SURE = 0.3  # share of the surest rows that are looked at
UNSURE = 0.5  # errors among them: a model that knows too little to judge
RANDOM = 0.4  # share of these errors, doubled, that must lie anywhere in the list


def flipped_share(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Estimate how many labels were drawn at random; 0 where nothing tells.

    A model that merely confuses like labels has the true one second or third. A label drawn at
    random lies anywhere, so twice the share of rows whose label is in the lower half of the list
    estimates the share of wrong labels; the surest rows are taken, where confusion is rare. A
    model that knows little is wrong anywhere in the list, without a wrong label: then it is 0.
    Measured beside confident learning by benchmarks/label_noise.py.

    Args:
        probabilities: n x c, out of fold; 60 rows or more.
        targets: n given labels.

    Example:
        >>> sure = np.tile([[0.9, 0.04, 0.03, 0.02, 0.01]], (100, 1))
        >>> flipped_share(sure, np.array(([0] * 9 + [4]) * 10))  # the least likely label
        0.2
        >>> flipped_share(sure, np.array(([0] * 9 + [1]) * 10))  # the next likely one
        0.0
    """
    require_rows(probabilities, targets)
    rows, labels = probabilities.shape
    if rows < FEWEST_ROWS:
        return 0.0
    own = probabilities[np.arange(rows), targets]
    order = np.argsort(-probabilities.max(axis=1), kind="stable")[: max(20, int(SURE * rows))]
    wrong = probabilities.argmax(axis=1) != targets
    below = (probabilities > own[:, None]).sum(axis=1)
    far = wrong & (below > labels / 2)
    lost = float(wrong[order].mean())
    # With two or three labels there is no lower half: take what is wrong against all confidence.
    share = float(2 * far[order].mean() if labels > 3 else wrong[order[: len(order) // 3]].mean())
    unsure = lost > UNSURE or (labels > 3 and share < RANDOM * lost)
    return 0.0 if unsure else share
