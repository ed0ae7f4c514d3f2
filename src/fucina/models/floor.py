"""The floor: what the frozen base already gives, in seconds, and where the head starts from.

Two linear models are fitted on the training rows of a member alone: logistic regression on the
pooled vectors of the frozen base, and ridge regression on n-grams of characters. The weight of
the second is chosen by cross-fitting inside the same training rows. Starting the head here
instead of from zero is "linear probing, then fine-tuning" (Kumar et al., 2022,
https://arxiv.org/abs/2202.10054); measured: about ten times faster to equal quality.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from fucina.models.lexical import Table, rarity, weigh

__all__ = ["INNER_FOLDS", "Floor", "fit", "logistic", "ridge"]

# Chosen on eight public sets of 300 to 3,000 rows: flat between 5 and 50 for vectors of unit
# length, and between 0.25 and 1 for ridge.
INVERSE_PENALTY = 20.0
RIDGE_PENALTY = 0.5
MIX = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
NO_WORSE = 0.002  # nats of log loss that a smaller share may lose
INNER_FOLDS = 3


@dataclass(frozen=True)
class Floor:
    """A linear head over frozen features.

    Attributes:
        weight: d x c, for pooled vectors as the stack gives them (length sqrt(d)).
        bias: c.
        lexical: What the n-grams say, already scaled by the chosen mix; None without.
        offsets: n x c: what the n-grams say of each training row when that row is left out of
            their fit; the adapters learn what this leaves over. Zero without n-grams.
    """

    weight: np.ndarray
    bias: np.ndarray
    lexical: Table | None
    offsets: np.ndarray


def fit(
    features: np.ndarray,
    ngrams: Any,
    targets: np.ndarray,
    *,
    label_count: int,
    seed: int,
) -> Floor:
    """Fit both linear models and the mix on the training rows of one member.

    Args:
        features: n x d pooled vectors of length sqrt(d).
        ngrams: n x v counts of n-grams, or None to leave the lexical part out.
        targets: n label indices; every label of 0..c-1 occurs.
        label_count: c, 2 or more.
        seed: Shuffles the inner folds.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> features, targets = rng.normal(size=(40, 4)), np.arange(40) % 2
        >>> features[:, 0] += 4 * targets
        >>> floor = fit(features, None, targets, label_count=2, seed=0)
        >>> logits = features @ floor.weight + floor.bias
        >>> bool((logits.argmax(axis=1) == targets).mean() > 0.9)
        True
    """
    weight, bias = logistic(features, targets, label_count)
    nothing = np.zeros((len(targets), label_count))
    if ngrams is None or not ngrams.shape[1]:
        return Floor(weight, bias, None, nothing)
    inner = _inner_folds(targets, seed)
    if any(len(np.unique(targets[inner != fold])) < 2 for fold in range(INNER_FOLDS)):
        return Floor(weight, bias, None, nothing)  # too few rows to tell what n-grams are worth
    dense, lexical = nothing.copy(), nothing.copy()
    for fold in range(INNER_FOLDS):
        out = inner == fold
        fold_weight, fold_bias = logistic(features[~out], targets[~out], label_count)
        dense[out] = features[out] @ fold_weight + fold_bias
        table, shift = ridge(ngrams[~out], targets[~out], label_count)
        lexical[out] = table.scores(ngrams[out]) + shift
    losses = {share: _log_loss(dense + share * lexical, targets) for share in sorted(MIX)}
    # Rows that n-grams tell apart without fail would else get the largest share, and no doubt left.
    mix = next(share for share, loss in losses.items() if loss <= min(losses.values()) + NO_WORSE)
    if mix == 0:
        return Floor(weight, bias, None, nothing)
    table, shift = ridge(ngrams, targets, label_count)
    scaled = Table(table.rarity, mix * table.weights)
    return Floor(weight, bias + mix * shift, scaled, mix * lexical)


def logistic(
    features: Any,
    targets: np.ndarray,
    label_count: int,
    *,
    inverse_penalty: float | None = None,
    absent: float = -20.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit logistic regression, with weights and a bias for every label.

    Args:
        features: n x d, dense or sparse.
        targets: n label indices, two different ones or more.
        label_count: c.
        inverse_penalty: How freely it fits; None for what suits vectors of length sqrt(d).
        absent: The bias of labels without a row.

    Returns:
        Weights d x c, and c biases.

    Example:
        >>> weight, bias = logistic(np.array([[1.0], [-1.0]] * 9), np.array([0, 2] * 9), 3)
        >>> (np.array([[1.0], [-1.0]]) @ weight + bias).argmax(axis=1).tolist()
        [0, 2]
    """
    from sklearn.linear_model import LogisticRegression

    width = features.shape[1]
    # Features have length sqrt(d), so the penalty of unit vectors is divided by d.
    penalty = INVERSE_PENALTY / width if inverse_penalty is None else inverse_penalty
    model = LogisticRegression(C=penalty, max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged after 300 rounds is good enough to start
        model.fit(features, targets)
    weight = np.zeros((width, label_count))
    bias = np.full(label_count, absent)
    if len(model.classes_) == 2:  # scikit-learn gives one column for two labels
        weight[:, model.classes_] = np.stack([-model.coef_[0] / 2, model.coef_[0] / 2], axis=1)
        bias[model.classes_] = [-model.intercept_[0] / 2, model.intercept_[0] / 2]
    else:
        weight[:, model.classes_] = model.coef_.T
        bias[model.classes_] = model.intercept_
    return weight, bias


def ridge(ngrams: Any, targets: np.ndarray, label_count: int) -> tuple[Table, np.ndarray]:
    """Fit one ±1 regression per label on n-grams.

    Args:
        ngrams: n x v counts.
        targets: n label indices.
        label_count: c.

    Returns:
        The weights, v x c, and c intercepts.
    """
    from sklearn.linear_model import Ridge

    signs = np.where(np.arange(label_count) == targets[:, None], 1.0, -1.0)
    model = Ridge(alpha=RIDGE_PENALTY, solver="sparse_cg", tol=1e-3)
    rarities = rarity(ngrams)
    model.fit(weigh(ngrams, rarities), signs)
    weights = model.coef_.reshape(label_count, -1).T
    return Table(rarities, weights), np.ravel(model.intercept_)


def _inner_folds(targets: np.ndarray, seed: int) -> np.ndarray:
    """Deal the rows of each label over the inner folds, at random."""
    inner = np.empty(len(targets), dtype=int)
    rng = np.random.default_rng(seed)
    for label in np.unique(targets):
        rows = rng.permutation(np.flatnonzero(targets == label))
        inner[rows] = (np.arange(len(rows)) + rng.integers(INNER_FOLDS)) % INNER_FOLDS
    return inner


def _log_loss(logits: np.ndarray, targets: np.ndarray) -> float:
    """Log loss at the best of a few temperatures: the mix must not be chosen by scale."""
    best = np.inf
    for scale in (0.5, 1.0, 2.0, 4.0):
        scaled = logits * scale
        top = scaled.max(axis=1, keepdims=True)
        norm = top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))
        best = min(best, float((norm - scaled[np.arange(len(targets)), targets]).mean()))
    return best
