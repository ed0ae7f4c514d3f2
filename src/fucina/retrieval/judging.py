"""How good an index answers questions of which the answer, or its place, is known."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fucina.data import rows as readers
from fucina.errors import DataError
from fucina.metrics.ranking import ndcg, recall, reciprocal_rank
from fucina.metrics.statistics import bootstrap
from fucina.records import Hit, Interval

__all__ = ["Known", "holds", "mean_of", "overlap", "ranking_scores", "read_known", "same"]

DEPTH = 10  # of nDCG
ARTICLES = re.compile(r"\b(?:a|an|the|il|lo|la|i|gli|le|l|un|uno|una)\b")


@dataclass(frozen=True)
class Known:
    """A question of which something is known.

    Attributes:
        question: In words.
        answers: Each of them is right; empty where only places are known, or nothing has it.
        files: Names of files that have the answer; empty where every chunk with it counts.
        group: What it is told apart by in a report; may be empty.
    """

    question: str
    answers: tuple[str, ...]
    files: frozenset[str]
    group: str = ""

    @property
    def answerable(self) -> bool:
        """Whether the documents have the answer."""
        return bool(self.answers or self.files)


def read_known(path: Path, qrels: Path | None = None, *, group: str = "") -> list[Known]:
    """Read questions from JSONL, CSV or others.

    Columns are `question`; `answer` or `answers` (a list), and `file` or `files`, where they are
    known. A question with neither is one that the documents do not answer. With relevance judgments
    in the format of TREC, `id` is looked up in them.

    Args:
        path: Of the questions.
        qrels: File of lines `question 0 document grade`; a grade above 0 is relevant.
        group: A column to tell questions apart by.

    Raises:
        DataError: A file is missing, or a row has no question.
    """
    judged = _judgments(qrels) if qrels else None
    found = []
    for line, row in readers.read_as(path, "utf-8"):
        question = str(row.get("question") or row.get("text") or "").strip()
        if not question:
            raise DataError(
                f"{path}, line {line}: no question; it has {sorted(row)}.",
                fix="Write the question in a column called question.",
            )
        files = _several(row.get("files") or row.get("file"))
        if judged is not None:
            files = judged.get(str(row.get("id", "")), ())
            if not files:
                continue  # nobody judged it
        answers = _several(row.get("answers") or row.get("answer"))
        found.append(Known(question, answers, frozenset(files), str(row.get(group, ""))))
    if not found:
        raise DataError(f"{path} has no question that is judged.", fix="Check the ids in qrels.")
    return found


def _several(given: object) -> tuple[str, ...]:
    if isinstance(given, str) and given.startswith("["):
        given = json.loads(given)
    listed = given if isinstance(given, list) else [given]
    return tuple(str(item) for item in listed if item not in (None, ""))


def _judgments(path: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        parts = line.split()
        if len(parts) not in (3, 4):
            raise DataError(
                f"{path}, line {number}: {len(parts)} fields.",
                fix="Write question 0 document grade on each line, as TREC does.",
            )
        question, document, grade = parts[0], parts[-2], parts[-1]
        if grade.lstrip("-").isdigit() and int(grade) > 0:
            found.setdefault(question, []).append(document)
    return {question: tuple(files) for question, files in found.items()}


def holds(hit: Hit, known: Known) -> bool:
    """Whether a chunk is what a question is after: of its files, with its answer in it."""
    if known.files and not any(_names(hit.path, file) for file in known.files):
        return False
    text = _plain(hit.chunk.text)
    return not known.answers or any(_plain(answer) in text for answer in known.answers)


def _names(path: str, file: str) -> bool:
    """Whether a file of the index is meant: by its whole name, its end, or without its suffix."""
    return path == file or path.endswith(f"/{file}") or Path(path).stem == file


def ranking_scores(found: Sequence[Sequence[Hit]], known: Sequence[Known]) -> dict[str, np.ndarray]:
    """Scores of n ranked lists, each an array of n.

    Where answers are known a list counts by the first chunk that has one; else by the files, each
    where its best chunk stands.
    """
    names = ("recall@1", "recall@5", f"recall@{DEPTH}", "MRR", f"nDCG@{DEPTH}")
    scores = {name: np.zeros(len(known)) for name in names}
    for row, (hits, one) in enumerate(zip(found, known, strict=True)):
        if one.answers:
            first = next((place for place, hit in enumerate(hits) if holds(hit, one)), None)
            ranked: list[object] = [place == first for place in range(len(hits))]
            relevant: set[object] = {True}
        else:
            ranked = [*dict.fromkeys(_file_of(hit, one) for hit in hits)]
            relevant = set(one.files)
        for depth in (1, 5, DEPTH):
            scores[f"recall@{depth}"][row] = recall(ranked, relevant, at=depth)
        scores["MRR"][row] = reciprocal_rank(ranked, relevant)
        scores[f"nDCG@{DEPTH}"][row] = ndcg(ranked, relevant, at=DEPTH)
    return scores


def _file_of(hit: Hit, known: Known) -> str:
    return next((file for file in known.files if _names(hit.path, file)), hit.path)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _words(text: str) -> list[str]:
    return ARTICLES.sub(" ", re.sub(r"[^\w\s]", " ", _plain(text))).split()


def same(answer: str, known: Known) -> bool:
    """Whether an answer is a right one but for case, punctuation and articles.

    Source: Rajpurkar et al., 2016, https://arxiv.org/abs/1606.05250, with Italian articles too.

    Example:
        >>> same("Il faro.", Known("", ("faro",), frozenset()))
        True
    """
    return any(_words(answer) == _words(right) for right in known.answers)


def overlap(answer: str, known: Known) -> float:
    """F1 of the words of an answer and the right one that is nearest; source as above.

    Example:
        >>> overlap("il faro rosso", Known("", ("faro",), frozenset()))
        0.6666666666666666
    """
    best = 0.0
    said = Counter(_words(answer))
    for right in known.answers:
        true = Counter(_words(right))
        shared = sum((said & true).values())
        if shared:
            best = max(best, 2 * shared / (sum(said.values()) + sum(true.values())))
    return best


def mean_of(values: np.ndarray, *, seed: int = 0) -> Interval:
    """A mean with its bootstrap interval."""
    statistic: Callable[[np.ndarray], float] = lambda rows: float(values[rows].mean())  # noqa: E731
    return bootstrap(statistic, len(values), seed=seed)


Scores = Mapping[str, Interval]
