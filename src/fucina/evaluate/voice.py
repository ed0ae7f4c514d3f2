"""Does it sound like her? A listener that has learnt to tell a persona's answers from others."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from fucina.metrics import bootstrap, wilson
from fucina.records import Interval

__all__ = ["FEWEST", "Line", "Voice", "auc", "listen"]

Line = tuple[str, str]  # what was asked, and what was answered

FOLDS = 5
FEWEST = 10  # answers of a side; with fewer nothing can be held out


@dataclass(frozen=True)
class Voice:
    """A listener, and how well it hears.

    Attributes:
        listener: The fitted classifier.
        auc: How often it finds the right one of two answers, one of each side, to questions that
            it was not trained on.
        length_auc: The same of one that knows only how long they are.
        threshold: From here on an answer is taken for hers: where held out as large a share of
            hers is missed as of others is mistaken.
        mistaken: The share of other answers that is taken for hers, held out.
        hers: Answers of the persona that it learnt from.
        others: Other answers that it learnt from.
        both: Questions that stand on both sides.
    """

    listener: Any
    auc: Interval
    length_auc: Interval
    threshold: float
    mistaken: Interval
    hers: int
    others: int
    both: int

    def takes_for_hers(self, answers: Sequence[str]) -> np.ndarray:
        """Which of n answers it takes for the persona's, n booleans; never one without a word."""
        spoken = np.array([any(map(str.isalnum, answer)) for answer in answers], dtype=bool)
        if not spoken.any():
            return spoken
        return spoken & (self.listener.decision_function(list(answers)) >= self.threshold)

    def facts(self) -> dict[str, Any]:
        """All but the listener, for JSON."""
        return {
            "auc": asdict(self.auc), "length_auc": asdict(self.length_auc),
            "mistaken": asdict(self.mistaken), "hers": self.hers, "others": self.others,
            "both": self.both,
        }  # fmt: skip


def listen(
    hers: Sequence[Line],
    others: Sequence[Line],
    *,
    seed: int,
    samples: int = 1000,
    confidence: float = 0.95,
) -> Voice | None:
    """Learn to tell answers of a persona from others by their words and letters.

    It hears manner, not sense: nonsense that is like neither side may pass for either.

    The listener is logistic regression on TF-IDF of words, pairs of words and runs of 2 to 4
    letters; the rows have unit length, so that long answers weigh no more. How well it hears is
    measured out of fold, all answers to one question in one fold; the interval resamples questions.

    Args:
        hers: Question and answer, of the persona.
        others: The same, of anybody else.
        seed: Divides the folds, and draws the resamples.
        samples: Resamples behind the intervals.
        confidence: Of the intervals.

    Returns:
        The listener, fitted on all answers; None with fewer than ten answers or five questions of
        a side.

    Example:
        >>> hers = [(f"domanda {i}", f"Figliolo, il mare {i} non aspetta.") for i in range(12)]
        >>> others = [(f"domanda {i}", f"Certo! Posso aiutarti {i}.") for i in range(12)]
        >>> voice = listen(hers, others, seed=0)
        >>> voice.auc.value, voice.takes_for_hers(["Il mare non aspetta, figliolo.", ""]).tolist()
        (1.0, [True, False])
    """
    lines = [*hers, *others]
    sides = [{_plain(question) for question, _ in side} for side in (hers, others)]
    if min(len(hers), len(others)) < FEWEST or min(map(len, sides)) < FOLDS:
        return None
    texts = [answer for _, answer in lines]
    mine = np.arange(len(lines)) < len(hers)
    names = sorted(sides[0] | sides[1])
    groups = np.array([names.index(_plain(question)) for question, _ in lines])

    def measured(scores: np.ndarray) -> Interval:
        places = [np.flatnonzero(groups == group) for group in range(len(names))]

        def statistic(picks: np.ndarray) -> float:
            drawn = np.concatenate([places[pick] for pick in picks])
            return auc(scores[drawn], mine[drawn])

        found = bootstrap(statistic, len(names), samples=samples, seed=seed, confidence=confidence)
        return Interval(auc(scores, mine), found.low, found.high)

    # Words alone: letters a word are manner already. The square is for a length in the middle.
    lengths = np.log1p([[len(text.split())] for text in texts])
    lengths = np.hstack([lengths, lengths**2])
    heard = _out_of_fold(_listener, texts, mine, groups, seed)
    threshold = _equal_errors(heard, mine)
    return Voice(
        _listener().fit(texts, mine),
        measured(heard),
        measured(_out_of_fold(_counter, lengths, mine, groups, seed)),
        threshold,
        wilson(int((heard[~mine] >= threshold).sum()), len(others), confidence),
        len(hers),
        len(others),
        len(sides[0] & sides[1]),
    )


def auc(scores: np.ndarray, mine: np.ndarray) -> float:
    """How often one of `mine` scores above one of the others; ties are half.

    Example:
        >>> auc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
        0.875
    """
    count = int(mine.sum())
    rest = len(mine) - count
    if not count or not rest:
        return 0.5  # a resample without one side says nothing
    ranks = rankdata(scores)[mine].sum() - count * (count + 1) / 2
    return float(ranks / (count * rest))


def _equal_errors(scores: np.ndarray, mine: np.ndarray) -> float:
    """The score from which on the two shares of mistakes are most alike, and small."""
    steps = np.unique(scores)
    between = (steps[:-1] + steps[1:]) / 2 if len(steps) > 1 else steps
    worst = [max((scores[mine] < way).mean(), (scores[~mine] >= way).mean()) for way in between]
    return float(between[int(np.argmin(worst))])


def _plain(question: str) -> str:
    return " ".join(question.casefold().split())


def _listener() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union

    words: Any = TfidfVectorizer(
        token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2), sublinear_tf=True
    )
    letters: Any = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    return make_pipeline(make_union(words, letters), _regression())


def _counter() -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), _regression())


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(class_weight="balanced", max_iter=1000)


def _out_of_fold(
    make: Any, inputs: Any, mine: np.ndarray, groups: np.ndarray, seed: int
) -> np.ndarray:
    """What each answer gets of a listener that heard no answer to its question."""
    rng = np.random.default_rng(seed)
    fold_of = rng.permutation(np.arange(groups.max() + 1) % FOLDS)
    found = np.zeros(len(mine))
    for fold in range(FOLDS):
        held = fold_of[groups] == fold
        if held.any() and len(set(mine[~held].tolist())) == 2:
            known = np.flatnonzero(~held)
            own = make().fit([inputs[row] for row in known], mine[known])
            found[held] = own.decision_function([inputs[row] for row in np.flatnonzero(held)])
    return found
