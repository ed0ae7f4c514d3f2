"""Linear models on frozen features and n-grams: what these rows can give without any training.

They cost seconds, have no settings, and learn out of fold from every row. What they cannot learn
either is a matter of the data; what they learn better than the model is a matter of the training.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict

from fucina.diagnose.case import Reference
from fucina.metrics import apply_temperature, fit_temperature
from fucina.models import floor
from fucina.models.lexical import counts, learn, rarity, weigh
from fucina.records import Dataset, Predictions, Progress, silent

__all__ = ["domain_auc", "refer"]

FOLDS = 4
MOST_ROWS = 4000  # more tell nothing new and take minutes
NEIGHBORS = 3


def refer(
    development: Dataset,
    test: Predictions,
    features: Callable[[Sequence[str]], np.ndarray],
    *,
    seed: int,
    progress: Progress = silent,
) -> Reference:
    """Fit the linear models out of fold, and compare the test rows with the development rows.

    Args:
        development: n rows.
        test: t rows; their answers are not looked at.
        features: Texts to pooled vectors of the frozen base.
        seed: Deals the folds.
        progress: Told before each part.
    """
    labels = test.labels
    targets = np.array([labels.index(target) for target in development.targets])
    progress("vectors of the frozen base", 0, 4)
    vectors, of_test = features(development.prompts), features(list(test.prompts))
    lexicon = learn(development.prompts)
    ngrams = counts(development.prompts, lexicon)
    progress("linear models", 1, 4)
    place = _folds(development, targets, seed)
    whole = _out_of_fold(vectors, ngrams, targets, place, len(labels), 1.0, seed)
    progress("linear models on half of the rows", 2, 4)
    half = _out_of_fold(vectors, ngrams, targets, place, len(labels), 0.5, seed)
    temperature = fit_temperature(whole, targets)
    answers = Predictions(
        labels, apply_temperature(whole, temperature), tuple(development.targets),
        tuple(development.prompts),
    )  # fmt: skip
    progress("likeness of test and training", 3, 4)
    like = _unit(of_test) @ _unit(vectors).T
    nearest = np.argsort(-like, axis=1)[:, :NEIGHBORS]
    return Reference(
        answers=answers,
        half=float((half.argmax(axis=1) == targets).mean()),
        domain_auc=domain_auc(development.prompts, list(test.prompts), seed),
        neighbors=nearest,
        likeness=np.take_along_axis(like, nearest, axis=1),
    )


def _folds(development: Dataset, targets: np.ndarray, seed: int) -> np.ndarray:
    """Deal rows to folds; rows of one group stay together."""
    groups = [example.group or f"row {i}" for i, example in enumerate(development.examples)]
    dealer = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    place = np.zeros(len(targets), dtype=int)
    for number, (_, out) in enumerate(dealer.split(np.zeros(len(targets)), targets, groups)):
        place[out] = number
    return place


def _out_of_fold(
    vectors: np.ndarray,
    ngrams: Any,
    targets: np.ndarray,
    place: np.ndarray,
    label_count: int,
    share: float,
    seed: int,
) -> np.ndarray:
    """Probabilities of each row by a model that learned from a share of the other folds."""
    rng = np.random.default_rng(seed)
    found = np.full((len(targets), label_count), 1 / label_count)
    for number in range(FOLDS):
        out = place == number
        rows = np.flatnonzero(~out)
        rows = np.sort(rng.permutation(rows)[: min(MOST_ROWS, max(2, round(share * len(rows))))])
        if not out.any() or len(np.unique(targets[rows])) < 2:
            continue
        fitted = floor.fit(
            vectors[rows], ngrams[rows], targets[rows], label_count=label_count, seed=seed
        )
        logits = vectors[out] @ fitted.weight + fitted.bias
        if fitted.lexical is not None:
            logits = logits + fitted.lexical.scores(ngrams[out])
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        found[out] = powers / powers.sum(axis=1, keepdims=True)
    return found


def domain_auc(development: Sequence[str], test: Sequence[str], seed: int) -> float:
    """How well n-grams tell whether a text is of the test set, out of fold."""
    rng = np.random.default_rng(seed)
    # Copies on both sides of a fold would be known by heart.
    different = list(dict.fromkeys(development))
    sample = [different[row] for row in rng.permutation(len(different))[:MOST_ROWS]]
    texts = [*sample, *list(dict.fromkeys(test))[:MOST_ROWS]]
    side = np.array([0] * len(sample) + [1] * (len(texts) - len(sample)))
    folds = min(FOLDS, int(side.sum()))
    if folds < 2:
        return 0.5
    ngrams = counts(texts, learn(texts))
    rows = weigh(ngrams, rarity(ngrams))
    model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=200)
    dealer = StratifiedKFold(folds, shuffle=True, random_state=seed)
    scores = cross_val_predict(model, rows, side, cv=dealer, method="decision_function")
    return float(roc_auc_score(side, scores))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
