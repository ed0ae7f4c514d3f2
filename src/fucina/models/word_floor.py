"""The floor of words: linear models of frozen states and of forms, and how much of each.

As for labels (`floor`): both are fitted on the training rows of a member alone, their shares are
chosen by cross-fitting inside these rows, and the adapters learn what the forms leave over.
"""

from typing import Any

import numpy as np

from fucina.models.floor import INNER_FOLDS, Floor, logistic
from fucina.models.lexical import Table, rarity, weigh

__all__ = ["fit", "fit_forms"]

INVERSE_PENALTY = 10.0  # of forms brought to length 1; flat between 10 and 100 (docs/log.md)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
NO_WORSE = 0.001  # nats of log loss that a smaller share may lose


def fit(
    states: np.ndarray,
    forms: Any,
    tags: np.ndarray,
    texts: np.ndarray,
    *,
    tag_count: int,
    seed: int,
) -> Floor:
    """Fit both models and their shares on the words of one member's training rows.

    Args:
        states: n x d, of any length.
        forms: n x v, or None to leave them out.
        tags: n codes, two different ones or more.
        texts: n numbers of the text that a word is of: words of one text stay together.
        tag_count: c.
        seed: Deals texts to the inner folds.

    Example:
        >>> states, tags = np.array([[3.0, 0.0], [0.0, 3.0]] * 20), np.arange(40) % 2
        >>> floor = fit(states, None, tags, np.arange(40) // 4, tag_count=2, seed=0)
        >>> (states[:2] @ floor.weight + floor.bias).argmax(axis=1).tolist()
        [0, 1]
    """
    # Brought to length sqrt(d) on average, so that one penalty suits all bases.
    scale = states.shape[1] ** 0.5 / max(float(np.linalg.norm(states, axis=1).mean()), 1e-9)
    states = states * scale
    weight, bias = logistic(states, tags, tag_count)
    nothing = np.zeros((len(tags), tag_count), dtype=np.float32)
    inner = np.random.default_rng(seed).integers(INNER_FOLDS, size=int(texts.max()) + 1)[texts]
    few = any(len(np.unique(tags[inner != fold])) < 2 for fold in range(INNER_FOLDS))
    if forms is None or not forms.shape[1] or few:
        return Floor(weight * scale, bias, None, nothing)
    dense, lexical, shifts = (np.zeros(nothing.shape) for _ in range(3))
    for fold in range(INNER_FOLDS):
        out = inner == fold
        if out.any():
            own, own_bias = logistic(states[~out], tags[~out], tag_count)
            dense[out] = states[out] @ own + own_bias
            table, shift = fit_forms(forms[~out], tags[~out], tag_count)
            lexical[out], shifts[out] = table.scores(forms[out]), shift
    losses = {
        (share, other): _log_loss(other * dense + share * (lexical + shifts), tags)
        for share in SHARES
        for other in SHARES
        if share + other > 0
    }
    least = min(losses.values())
    share, other = next(pair for pair, loss in losses.items() if loss <= least + NO_WORSE)
    if not share:
        return Floor(other * weight * scale, other * bias, None, nothing)
    table, shift = fit_forms(forms, tags, tag_count)
    scaled = Table(table.rarity, share * table.weights)
    return Floor(
        other * weight * scale,
        other * bias + share * shift,
        scaled,
        (share * lexical).astype(np.float32),
    )


def fit_forms(forms: Any, tags: np.ndarray, tag_count: int) -> tuple[Table, np.ndarray]:
    """Logistic regression on the forms of n words, n x v: weights v x c, and c biases."""
    rarities = rarity(forms)
    weight, bias = logistic(
        weigh(forms, rarities), tags, tag_count, inverse_penalty=INVERSE_PENALTY, absent=0.0
    )
    return Table(rarities, weight), bias


def _log_loss(logits: np.ndarray, tags: np.ndarray) -> float:
    top = logits.max(axis=1)
    norm = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return float((norm - logits[np.arange(len(tags)), tags]).mean())
