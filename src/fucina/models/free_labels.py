"""Labels without a network: the most frequent one, or what n-grams of the same rows say."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.feature_extraction.text import TfidfVectorizer

__all__ = ["FREE_LABELS", "free_labels", "regress"]

FREE_LABELS = ("majority", "words", "characters")
INVERSE_PENALTY = 20.0


def free_labels(
    name: str, learned: Sequence[str], targets: np.ndarray, asked: Sequence[str], count: int
) -> np.ndarray:
    """Probabilities of c labels for m texts, m x c.

    Args:
        name: `majority`: the most frequent label; `words` and `characters`: TF-IDF of words (1-2)
            or of character n-grams (2-5) with logistic regression.
        learned: n texts.
        targets: Their labels, 0 to c - 1.
        asked: m texts.
        count: c.

    Example:
        >>> found = free_labels("words", ["ciao", "addio"], np.array([0, 1]), ["ciao a te"], 2)
        >>> found.argmax(axis=1).tolist()
        [0]
    """
    # Texts without any word, such as emoji, tell words no more than the counts do.
    if name != "majority" and _has_terms(name, learned):
        from sklearn.pipeline import make_pipeline

        model = make_pipeline(_tfidf(name), _regression(INVERSE_PENALTY))
        return _fit_and_answer(model, learned, targets, asked, count)
    counts = np.bincount(targets, minlength=count) + 1.0
    return np.tile(counts / counts.sum(), (len(asked), 1))


def regress(vectors: np.ndarray, targets: np.ndarray, asked: np.ndarray, count: int) -> np.ndarray:
    """The same by logistic regression on vectors, n x d and m x d."""
    model = _regression(INVERSE_PENALTY / vectors.shape[1])
    return _fit_and_answer(model, vectors, targets, asked, count)


def _regression(inverse_penalty: float) -> "BaseEstimator":
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=inverse_penalty, max_iter=300)


def _tfidf(name: str) -> "TfidfVectorizer":
    from sklearn.feature_extraction.text import TfidfVectorizer

    if name == "words":
        return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)


def _has_terms(name: str, texts: Sequence[str]) -> bool:
    analyze = _tfidf(name).build_analyzer()
    return any(analyze(text) for text in texts)


def _fit_and_answer(
    model: Any, inputs: Any, targets: np.ndarray, asked: Any, count: int
) -> np.ndarray:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "not converged": 300 rounds are what it costs nothing for
        model.fit(inputs, targets)
    probabilities = np.zeros((len(asked), count))
    probabilities[:, model.classes_] = model.predict_proba(asked)
    return probabilities
