"""Make confidence mean what it says, and say below which confidence not to answer."""

from typing import TYPE_CHECKING

import numpy as np

from fucina.evaluate.judge import codes
from fucina.metrics import (
    HOTTEST,
    apply_temperature,
    bootstrap,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    pick_threshold,
    risk_coverage,
)
from fucina.records import Calibration, Interval, Predictions

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig

__all__ = ["calibrate"]

HALVES = 2
FEWEST_ROWS = 30  # on fewer, a temperature is fitted to chance


def calibrate(out_of_fold: Predictions, config: "EvaluationConfig", *, seed: int) -> Calibration:
    """Fit one temperature and a threshold on rows that no member learned from.

    The temperature is judged before it is believed: fitted on one half of the rows and applied to
    the other, both ways. It stays at 1 where that does not lower the log loss, and the calibration
    error to less than chance explains: wrong labels among the held-out rows ask for less
    confidence as well, and that cannot be put right by a temperature.

    Args:
        out_of_fold: Answers of members on rows they held out, n x c, with targets.
        config: Whether to calibrate, the target for wrong answers, and the intervals.
        seed: Of the halves and the resamples.

    Example:
        >>> from fucina.config import EvaluationConfig
        >>> sure = np.tile([[0.99, 0.01]], (2000, 1))
        >>> answers = Predictions(("a", "b"), sure, ("a",) * 1600 + ("b",) * 400, ("",) * 2000)
        >>> found = calibrate(answers, EvaluationConfig(), seed=0)
        >>> found.temperature > 2, round(found.before.value, 2), found.after.value < 0.05
        (True, 0.19, True)
    """
    targets, before = codes(out_of_fold), out_of_fold.probabilities
    temperature, error = 1.0, _error(before, targets, config, seed)
    mended = error
    if config.calibrate and len(targets) >= FEWEST_ROWS:
        crossed = _crossed(before, targets, seed)
        better = log_loss(crossed, targets) < log_loss(before, targets)
        tried = _error(crossed, targets, config, seed)
        if better and tried.value < error.low:
            fitted = fit_temperature(before, targets)
            if fitted < 0.99 * HOTTEST:  # there confidence is not scaled, it says nothing
                temperature, mended = fitted, tried
    calibrated = apply_temperature(before, temperature) if temperature != 1 else before
    right = calibrated.argmax(axis=1) == targets
    points = risk_coverage(calibrated.max(axis=1), right, confidence=config.confidence)
    picked, proved = None, False
    if config.max_error is not None:
        picked, proved = pick_threshold(points, config.max_error)
    return Calibration(
        temperature=temperature,
        before=error,
        after=mended,
        rows=len(targets),
        curve=tuple(points),
        target=config.max_error,
        threshold=None if picked is None else picked.threshold,
        proved=proved,
    )


def _crossed(probabilities: np.ndarray, targets: np.ndarray, seed: int) -> np.ndarray:
    """Every row under the temperature that the other half of the rows asks for."""
    half = np.random.default_rng(seed).permutation(len(targets)) % HALVES
    crossed = np.empty_like(probabilities)
    for own in range(HALVES):
        mine, others = half == own, half != own
        temperature = fit_temperature(probabilities[others], targets[others])
        crossed[mine] = apply_temperature(probabilities[mine], temperature)
    return crossed


def _error(
    probabilities: np.ndarray, targets: np.ndarray, config: "EvaluationConfig", seed: int
) -> Interval:
    return bootstrap(
        lambda rows: expected_calibration_error(probabilities[rows], targets[rows]),
        len(targets),
        samples=config.bootstrap_samples,
        seed=seed,
        confidence=config.confidence,
    )
