"""Answers of two runs in one order, so that they can be compared row by row."""

from dataclasses import replace

from fucina.records import Predictions, Spans, Texts

__all__ = ["labels_like", "spans_like", "texts_like"]


def labels_like(predictions: Predictions, like: Predictions) -> Predictions:
    """The same predictions with rows and labels in the order of another run."""
    place = {prompt: row for row, prompt in enumerate(predictions.prompts)}
    rows = [place[prompt] for prompt in like.prompts]
    columns = [predictions.labels.index(label) for label in like.labels]
    return replace(
        predictions,
        labels=like.labels,
        probabilities=predictions.probabilities[rows][:, columns],
        targets=like.targets,
        prompts=like.prompts,
    )


def texts_like(texts: Texts, like: Texts) -> Texts:
    """The same texts with rows in the order of another run; rows that are alike keep theirs."""
    places: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(texts.prompts, texts.targets, strict=True)):
        places.setdefault(key, []).append(row)
    keys = zip(like.prompts, like.targets, strict=True)
    return texts.take([places[key].pop(0) for key in keys])


def spans_like(spans: Spans, like: Spans) -> Spans:
    """The same spans with rows in the order of another run."""
    place = {prompt: row for row, prompt in enumerate(spans.prompts)}
    rows = [place[prompt] for prompt in like.prompts]
    return replace(
        spans,
        prompts=like.prompts,
        targets=like.targets,
        answers=tuple(spans.answers[row] for row in rows),
        confidences=tuple(spans.confidences[row] for row in rows),
        read=tuple(spans.read[row] for row in rows),
    )
