"""Leave one word out at a time, and see how much less likely the answer becomes."""

import numpy as np

from fucina.explain.question import Question
from fucina.records import Progress, silent

__all__ = ["CHUNK", "occlude"]

CHUNK = 64  # texts between two reports of progress


def occlude(question: Question, *, progress: Progress = silent) -> np.ndarray:
    """The weight of each word: log-probability of the answer with it, minus that without it.

    A word is left out, and the model reads the shorter text; a tagger reads a stand-in in its
    place, because the words that are marked must stay where they are.

    Args:
        question: What is explained.
        progress: Told after each chunk of texts.

    Returns:
        W weights in nats.
    """
    count = len(question.reading.words)
    texts = [question.without(np.arange(count) != word) for word in range(count)]
    whole = question.log_likely([question.reading.text])[0]
    less = np.zeros(count)
    for begin in range(0, count, CHUNK):
        part = slice(begin, begin + CHUNK)
        less[part] = question.log_likely(texts[part])
        progress("leaving words out", min(begin + CHUNK, count), count)
    return whole - less
