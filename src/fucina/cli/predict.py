"""fucina predict RUN TEXT|FILE|-: answer texts, or the rows of a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fucina.records import Example, Predictions, Spans, Texts

    Answers = Predictions | Spans | Texts

__all__ = ["command", "rows_of"]


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
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            help="Another run over the same base, loaded once: a text is answered by all, a row by "
            "the run that its column adapter names."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Answer texts with a trained model, or with several over one base."""
    from fucina import using
    from fucina.cli.screen import print_json, reporting
    from fucina.run import find

    if beside:
        _answer_with_several([run, *beside], source, fields or [], as_json=as_json)
        return
    folder = find(run)
    rows = rows_of(folder, source, fields or [])
    with reporting(quiet=as_json or len(rows) == 1) as (progress, say):
        predictions = using.predict(folder, rows, progress=progress, say=say)
    texts = [row.prompt for row in rows]
    if as_json:
        print_json(_items(texts, predictions))
    else:
        _show(texts, predictions)


def _answer_with_several(
    runs: list[Path], source: str, fields: list[str], *, as_json: bool
) -> None:
    """Each row by the run that it names, or each text by all of them."""
    from fucina import asking
    from fucina.cli.screen import print_json, reporting
    from fucina.opening import open_runs

    with reporting(quiet=as_json) as (progress, _), open_runs(runs) as opened:
        if _is_table(source):
            asked = asking.read_routed(opened.folders, Path(source))
        else:
            asked = [
                (name, row)
                for name, folder in opened.folders.items()
                for row in rows_of(folder, source, fields)
            ]
        rows = {name: [row for own, row in asked if own == name] for name in opened.names}
        answered = {
            name: ([row.prompt for row in own], opened.predict(name, own, progress=progress))
            for name, own in rows.items()
            if own
        }
    if as_json:
        items = {name: iter(_items(*own)) for name, own in answered.items()}
        print_json([{"adapter": name, **next(items[name])} for name, _ in asked])
        return
    for name, own in answered.items():
        typer.echo(f"{name}:")
        _show(*own)


def _is_table(source: str) -> bool:
    """Whether a file of rows is named."""
    from fucina.data import SUFFIXES

    return _is_file(source) and Path(source).suffix.lower() in SUFFIXES


def _is_file(source: str) -> bool:
    return len(source) < 256 and source != "-" and Path(source).is_file()


def rows_of(folder: Path, source: str, fields: list[str]) -> "list[Example]":
    """What is asked: the rows of a file, or one row a text.

    Args:
        folder: Of the run.
        source: A text, a file, or - for standard input.
        fields: NAME=VALUE, further fields of the task.

    Raises:
        DataError: There is no text, or a field has no value.
    """
    from fucina import asking
    from fucina.errors import DataError

    path = Path(source)
    if _is_table(source):
        if fields:
            raise DataError(
                f"--field beside {source}: its rows have fields of their own.",
                fix="Write the field into the rows, or leave out --field.",
            )
        return asking.read_questions(folder, path)
    if source == "-":
        texts = sys.stdin.read().splitlines()
    elif _is_file(source):
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


def _items(asked: list[str], answers: "Answers") -> list[dict[str, Any]]:
    """Each answer as JSON has it."""
    from fucina.records import Spans, Texts

    if isinstance(answers, Texts):
        names = ("text", "answer", "ended", "cut", "prompt_tokens", "answer_tokens")
        ended, cut = answers.ended.tolist(), [row in answers.cut for row in range(len(asked))]
        rows = zip(asked, answers.answers, ended, cut, answers.read, answers.written, strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows]
    if isinstance(answers, Spans):
        triples = zip(asked, _span_items(answers), answers.read, strict=True)
        return [{"text": t, "spans": own, "cut": read < len(t)} for t, own, read in triples]
    labels = zip(asked, answers.answers, answers.confidences, answers.probabilities, strict=True)
    return [
        {
            "text": text,
            "answer": answer,
            "confidence": round(float(confidence), 6),
            "abstains": bool(confidence < answers.threshold),
            "probabilities": {
                label: round(float(p), 6) for label, p in zip(answers.labels, row, strict=True)
            },
        }
        for text, answer, confidence, row in labels
    ]


def _span_items(spans: "Spans") -> list[list[dict[str, Any]]]:
    return [
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


def _show(asked: list[str], answers: "Answers") -> None:
    """Print answers for people."""
    from fucina.records import Spans, Texts

    if isinstance(answers, Texts):
        _show_texts(asked, answers)
    elif isinstance(answers, Spans):
        _show_spans(answers)
    else:
        _show_labels(asked, answers)


def _show_texts(asked: list[str], texts: "Texts") -> None:
    for row, (text, answer) in enumerate(zip(asked, texts.answers, strict=True)):
        if len(asked) > 1:
            typer.echo(f"> {text}")
        typer.echo(answer if texts.ended[row] else f"{answer} …")
        if row in texts.cut:
            typer.echo(f"(not read whole: only {texts.read[row]} tokens of what is asked fit)")


def _show_spans(spans: "Spans") -> None:
    rows = _span_items(spans)
    for text, own, read in zip(spans.prompts, rows, spans.read, strict=True):
        if len(rows) > 1:
            typer.echo(f"> {text}")
        for span in own:
            typer.echo(f"{span['label']}\t{span['confidence']:.3f}\t{span['text']}")
        if not own:
            typer.echo("(nothing)")
        if read < len(text):
            typer.echo(f"(not read: {len(text) - read} characters at the end)")


def _show_labels(texts: list[str], predictions: "Predictions") -> None:
    for text, answer, confidence in zip(
        texts, predictions.answers, predictions.confidences, strict=True
    ):
        sure = confidence >= predictions.threshold
        said = answer if sure else f"? ({answer}, but {predictions.threshold:.3f} is asked)"
        typer.echo(f"{said}\t{confidence:.3f}\t{text}")
