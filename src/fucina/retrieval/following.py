"""Questions that lean on an earlier one, such as "and what does it cost?"."""

from collections.abc import Sequence
from dataclasses import replace

from fucina.records import Hit
from fucina.retrieval.chunking import headed
from fucina.retrieval.interface import Finder

__all__ = ["LEANS", "by_own_words", "leans", "topic_of"]

# Share of the words of two questions that the second one has, below which it says too little alone.
# On the persona's memory 12 of 16 follow-ups are below, and 4 of 100 questions of something else.
LEANS = 0.4


def leans(question: str, before: str, searcher: Finder) -> bool:
    """Whether a question says little beside the one before it, by rarity of their stems."""
    (share,) = searcher.coverage(f"{before} {question}", [question])
    return bool(share < LEANS)


def topic_of(questions: Sequence[str], searcher: Finder) -> str:
    """The last question that stood by itself; empty without questions.

    Args:
        questions: Earlier ones, oldest first.
        searcher: Knows how rare words are.
    """
    topic = ""
    for question in questions:
        if not topic or not leans(question, topic, searcher):
            topic = question
    return topic


def by_own_words(question: str, hits: Sequence[Hit], searcher: Finder) -> list[Hit]:
    """What was found for a longer question, with the coverage of this one alone.

    The words of the question in front are in what was found, whatever is asked now.
    """
    texts = [headed(hit.title, hit.chunk.headings, hit.chunk.text) for hit in hits]
    own = searcher.coverage(question, texts)
    pairs = zip(hits, own.tolist(), strict=True)
    return [replace(hit, coverage=min(hit.coverage, covered)) for hit, covered in pairs]
