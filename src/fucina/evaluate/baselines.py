"""Baselines for free: what the same rows give without any fine-tuning."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.evaluate.rules import Rules, answer
from fucina.records import Dataset, Predictions

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.feature_extraction.text import TfidfVectorizer

__all__ = ["baseline"]

Features = Callable[[Sequence[str]], np.ndarray]


def baseline(
    name: str,
    train: Dataset,
    test: Dataset,
    labels: tuple[str, ...],
    *,
    features: Features,
    rules: Rules | None = None,
) -> Predictions:
    """Fit one baseline on the training rows and answer the test rows.

    Args:
        name: `majority`: the most frequent label; `words` and `characters`: TF-IDF of words (1-2)
            or of character n-grams (2-5) with logistic regression; `frozen`: logistic regression
            on the pooled vectors of the base model; `rules`: a user's rule file.
        train: The same rows the model learnt from.
        test: The rows to answer.
        labels: The c label names.
        features: Gives pooled vectors of texts, n x d.
        rules: The user's rules, for `rules`.
    """
    if name == "rules" and rules is not None:
        return answer(rules, test, labels)
    index = {label: i for i, label in enumerate(labels)}
    targets = np.array([index[target] for target in train.targets])
    counts = np.bincount(targets, minlength=len(labels)) + 1.0
    probabilities = np.tile(counts / counts.sum(), (len(test), 1))
    if name == "frozen":
        probabilities = _fit_and_answer(
            _regression(20.0 / _width(features, train)),
            features(train.prompts),
            targets,
            features(test.prompts),
            len(labels),
        )
    elif name != "majority" and _has_terms(name, train):
        # Texts without any word, such as emoji, tell words no more than the counts do.
        from sklearn.pipeline import make_pipeline

        probabilities = _fit_and_answer(
            make_pipeline(_tfidf(name), _regression(20.0)),
            train.prompts,
            targets,
            test.prompts,
            len(labels),
        )
    return Predictions(labels, probabilities, tuple(test.targets), tuple(test.prompts))


def _width(features: Features, train: Dataset) -> int:
    return features(train.prompts[:1]).shape[1]


def _regression(inverse_penalty: float) -> "BaseEstimator":
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=inverse_penalty, max_iter=300)


def _tfidf(name: str) -> "TfidfVectorizer":
    from sklearn.feature_extraction.text import TfidfVectorizer

    if name == "words":
        return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)


def _has_terms(name: str, train: Dataset) -> bool:
    analyze = _tfidf(name).build_analyzer()
    return any(analyze(prompt) for prompt in train.prompts)


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
