"""fucina ask INDEX QUESTION: answers out of documents, with where they stand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from fucina.config import SearchConfig
    from fucina.examining import Examined
    from fucina.library import Answered

__all__ = ["command"]


def command(
    index: Annotated[Path, typer.Argument(help="Folder of an index.")],
    question: Annotated[
        str, typer.Argument(help="What is asked, in words; KEY=VALUE with --questions.")
    ] = "",
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="top=…, ranking=…, folder=…, tag=…, since=… and others."
        ),
    ] = None,
    sure: Annotated[
        float, typer.Option(min=0, max=1, help="Below this probability it does not answer.")
    ] = 0.5,
    questions: Annotated[
        Path | None,
        typer.Option(help="Judge the index on a file of questions with answer or file instead."),
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option(help="Relevance judgments of TREC for the ids of --questions.")
    ] = None,
    group: Annotated[str, typer.Option(help="Column of --questions that tells them apart.")] = "",
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Learn from --questions how sure the index may be."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Answer a question with the words of the documents, and say where they stand."""
    import os

    from fucina.cli.screen import console, print_json
    from fucina.config import SearchConfig
    from fucina.errors import DataError
    from fucina.library import ask, open_library
    from fucina.settings_file import of_words

    if questions is not None:
        words = [word for word in [question, *(overrides or [])] if word]
        config = of_words(SearchConfig, words, "search")
        _judge(index, (questions, qrels, group), config, sure, calibrate=calibrate, as_json=as_json)
        return
    config = of_words(SearchConfig, overrides or [], "search")
    if not question.strip():
        raise DataError("there is no question.", fix='Write one: fucina ask INDEX "…".')
    with open_library(index, keys=os.environ) as library:
        answered = ask(library, question, config, least=sure)
    if as_json:
        print_json(_facts(answered))
        return
    console.print(_text(answered), markup=False, soft_wrap=True)
    console.print()
    for number, hit in enumerate(answered.hits, start=1):
        console.print(f"[{number}] {hit.place}", markup=False, soft_wrap=True, style="dim")


def _judge(
    index: Path,
    asked: tuple[Path, Path | None, str],
    config: "SearchConfig",
    sure: float,
    *,
    calibrate: bool,
    as_json: bool,
) -> None:
    """Ask a whole file of questions and print the scores."""
    import os
    from dataclasses import asdict

    from fucina.cli.screen import console, print_json, reporting
    from fucina.examining import examine, read_known
    from fucina.library import open_library

    path, qrels, group = asked
    known = read_known(path, qrels, group=group)
    with reporting(quiet=as_json) as (progress, _), open_library(index, keys=os.environ) as library:
        found = examine(library, known, config, least=sure, calibrate=calibrate, progress=progress)
    if as_json:
        print_json({name: asdict(part) for name, part in found.items()})
        return
    for name, part in found.items():
        title = f"{part.questions} questions" + ("" if name == "all" else f", {name}")
        console.print(_scores(part, f"{title} ({part.answerable} that the documents answer)"))
        console.print()
    p50, p95 = found["all"].latency_ms
    console.print(f"one search takes {p50:.1f} ms (p50), {p95:.1f} ms (p95)")
    if calibrate:
        console.print("kept in the index: how sure it may be, learnt from these very questions")


def _scores(part: "Examined", title: str) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, score in part.scores.items():
        table.add_row(name, f"{score.value:.3f}", f"{score.low:.3f} to {score.high:.3f}")
    return table


def _text(answered: "Answered") -> str:
    sure = f"{answered.sure:.0%} sure that the documents have it"
    if not answered.hits:
        return "Nothing in the documents that were asked for."
    if answered.weak:
        return f"Not in the documents ({sure}). The nearest:"
    quotes = [f"«{quote.text}» [{quote.hit + 1}]" for quote in answered.quotes]
    return "\n".join([*quotes, f"({sure})"])


def _facts(answered: "Answered") -> dict[str, Any]:
    return {
        "question": answered.question,
        "answer": None if answered.weak else " ".join(q.text for q in answered.quotes),
        "in_documents": not answered.weak,
        "sure": round(answered.sure, 4),
        "quotes": [
            {"text": q.text, "source": q.hit + 1, "place": q.place, "score": round(q.score, 4)}
            for q in answered.quotes
        ],
        "sources": [
            {
                "number": number,
                "file": hit.path,
                "title": hit.title,
                "headings": list(hit.chunk.headings),
                "unit": hit.unit,
                "first": hit.chunk.first,
                "last": hit.chunk.last,
                "date": hit.date,
                "tags": list(hit.tags),
                "score": round(hit.score, 4),
                "nearness": round(hit.nearness, 4),
                "coverage": round(hit.coverage, 4),
                **hit.parts,
                "text": hit.chunk.text,
            }
            for number, hit in enumerate(answered.hits, start=1)
        ],
    }
