"""What tags cost nothing: the commonest ones, the rarest words, those of the most similar post."""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from fucina.records import Example
from fucina.tasks.hashtags.scores import normalized, read_tags, written

__all__ = ["frequent", "keywords", "nearest"]


def frequent(train: Sequence[Example], rows: Sequence[Example]) -> list[str]:
    """The commonest tags of the training rows, as many as a row has in the middle."""
    common = [tag for tag, _ in _counts(train).most_common(_usual(train))]
    return [written(common)] * len(rows)


def keywords(train: Sequence[Example], rows: Sequence[Example]) -> list[str]:
    """The words of each post that weigh most by TF-IDF among all posts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    weigher: Any = TfidfVectorizer(token_pattern=r"\b[^\W\d_]{4,}\b", sublinear_tf=True)
    weigher.fit([row.prompt for row in (*train, *rows)])
    words, most = weigher.get_feature_names_out(), _usual(train)
    weights = weigher.transform([row.prompt for row in rows]).toarray()
    order = (-weights).argsort(axis=1, kind="stable")[:, :most]
    return [
        written(f"#{words[place]}" for place in places if own[place] > 0)
        for places, own in zip(order, weights, strict=True)
    ]


def nearest(train: Sequence[Example], rows: Sequence[Example]) -> list[str]:
    """The tags of the training post with the most similar characters."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    maker: Any = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    learned = maker.fit_transform([row.prompt for row in train])
    likeness = (maker.transform([row.prompt for row in rows]) @ learned.T).toarray()
    return [train[place].target for place in likeness.argmax(axis=1)]


def _counts(train: Sequence[Example]) -> Counter[str]:
    """How often each tag is given, under the way it is written most."""
    ways: dict[str, Counter[str]] = {}
    for row in train:
        for tag in read_tags(row.target):
            ways.setdefault(normalized(tag), Counter())[tag] += 1
    return Counter({way.most_common(1)[0][0]: way.total() for way in ways.values()})


def _usual(train: Sequence[Example]) -> int:
    return round(median(len(read_tags(row.target)) for row in train))
