"""fucina predict RUN TEXT|FILE|-: answer texts, or the rows of a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fucina.records import Example, Predictions, Spans, Texts

__all__ = ["command"]


def command(
    run: Annotated[Path, typer.Argument(help="A run folder, or the folder of a recipe's name.")],
    source: Annotated[
        str,
        typer.Argument(
            help="A text, a file with one text a line or of rows (.jsonl, .csv…), or - for "
            "standard input."
        ),
    ],
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", help="NAME=VALUE: another field of the task, such as database=F."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Answer texts with a trained model."""
    from fucina import using
    from fucina.cli.screen import reporting
    from fucina.records import Spans, Texts
    from fucina.run import find

    folder = find(run)
    rows = _rows(folder, source, fields or [])
    with reporting(quiet=as_json or len(rows) == 1) as (progress, say):
        predictions = using.predict(folder, rows, progress=progress, say=say)
    texts = [row.prompt for row in rows]
    if isinstance(predictions, Texts):
        _show_texts(texts, predictions, as_json=as_json)
    elif isinstance(predictions, Spans):
        _show_spans(predictions, as_json=as_json)
    else:
        _show_labels(texts, predictions, as_json=as_json)


def _rows(folder: Path, source: str, fields: list[str]) -> "list[Example]":
    """What is asked: the rows of a file, or one row a text."""
    from fucina import asking
    from fucina.data import SUFFIXES
    from fucina.errors import DataError

    path = Path(source)
    is_file = len(source) < 256 and source != "-" and path.is_file()
    if is_file and path.suffix.lower() in SUFFIXES:
        if fields:
            raise DataError(
                f"--field beside {source}: its rows have fields of their own.",
                fix="Write the field into the rows, or leave out --field.",
            )
        return asking.read_questions(folder, path)
    if source == "-":
        texts = sys.stdin.read().splitlines()
    elif is_file:
        try:
            texts = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"{source} is not UTF-8: {error}.", fix="Save it as UTF-8.") from error
    else:
        texts = [source]
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise DataError(
            "there is no text to answer.", fix="Give a text, or a file with one a line."
        )
    given = {}
    for field in fields:
        name, sign, value = field.partition("=")
        if not sign:
            raise DataError(f"--field {field!r} has no value.", fix="Write --field NAME=VALUE.")
        given[name] = value
    return asking.questions(folder, texts, given)


def _show_texts(asked: list[str], texts: "Texts", *, as_json: bool) -> None:
    from fucina.cli.screen import print_json

    if as_json:
        names = ("text", "answer", "ended", "cut", "prompt_tokens", "answer_tokens")
        ended, cut = texts.ended.tolist(), [row in texts.cut for row in range(len(asked))]
        rows = zip(asked, texts.answers, ended, cut, texts.read, texts.written, strict=True)
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    for row, (text, answer) in enumerate(zip(asked, texts.answers, strict=True)):
        if len(asked) > 1:
            typer.echo(f"> {text}")
        typer.echo(answer if texts.ended[row] else f"{answer} …")
        if row in texts.cut:
            typer.echo(f"(not read whole: only {texts.read[row]} tokens of what is asked fit)")


def _show_spans(spans: "Spans", *, as_json: bool) -> None:
    from fucina.cli.screen import print_json

    rows = [
        [
            {
                "start": span.start,
                "end": span.end,
                "label": span.label,
                "text": text[span.start : span.end],
                "confidence": round(sure, 6),
            }
            for span, sure in zip(own, confidences, strict=True)
        ]
        for text, own, confidences in zip(
            spans.prompts, spans.answers, spans.confidences, strict=True
        )
    ]
    if as_json:
        triples = zip(spans.prompts, rows, spans.read, strict=True)
        print_json([{"text": t, "spans": own, "cut": read < len(t)} for t, own, read in triples])
        return
    for text, own, read in zip(spans.prompts, rows, spans.read, strict=True):
        if len(rows) > 1:
            typer.echo(f"> {text}")
        for span in own:
            typer.echo(f"{span['label']}\t{span['confidence']:.3f}\t{span['text']}")
        if not own:
            typer.echo("(nothing)")
        if read < len(text):
            typer.echo(f"(not read: {len(text) - read} characters at the end)")


def _show_labels(texts: list[str], predictions: "Predictions", *, as_json: bool) -> None:
    from fucina.cli.screen import print_json

    if as_json:
        print_json(
            [
                {
                    "text": text,
                    "answer": answer,
                    "confidence": round(float(confidence), 6),
                    "abstains": bool(confidence < predictions.threshold),
                    "probabilities": {
                        label: round(float(p), 6)
                        for label, p in zip(predictions.labels, row, strict=True)
                    },
                }
                for text, answer, confidence, row in zip(
                    texts,
                    predictions.answers,
                    predictions.confidences,
                    predictions.probabilities,
                    strict=True,
                )
            ]
        )
        return
    for text, answer, confidence in zip(
        texts, predictions.answers, predictions.confidences, strict=True
    ):
        sure = confidence >= predictions.threshold
        said = answer if sure else f"? ({answer}, but {predictions.threshold:.3f} is asked)"
        typer.echo(f"{said}\t{confidence:.3f}\t{text}")
