"""fucina ask INDEX QUESTION: answers out of documents, with where they stand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from fucina.answering import Told
    from fucina.config import AnswerConfig, SearchConfig
    from fucina.examining import Examined

__all__ = ["command"]

ANSWER = "answer."  # before the settings of who answers


def command(
    index: Annotated[Path, typer.Argument(help="Folder of an index.")],
    question: Annotated[
        str, typer.Argument(help="What is asked, in words; KEY=VALUE with --questions.")
    ] = "",
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="top=…, ranking=…, folder=…, tag=…, since=…; answer.by=RUN|BASE|MODEL, "
            "answer.url=…, answer.sure=… and others.",
        ),
    ] = None,
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
    """Answer a question out of documents, and say where the answer stands."""
    import os

    from fucina.answering import Told, ask, open_answerer, tell
    from fucina.cli.screen import console, print_json
    from fucina.config import AnswerConfig, SearchConfig
    from fucina.errors import DataError
    from fucina.library import open_library
    from fucina.settings_file import of_words

    # With a file of questions the first word may be a setting.
    words = [word for word in [question, *(overrides or [])] if word]
    words = words if questions is not None else list(overrides or [])
    own = [word for word in words if not word.startswith(ANSWER)]
    config = of_words(SearchConfig, own, "search")
    told = [word.removeprefix(ANSWER) for word in words if word.startswith(ANSWER)]
    answer = of_words(AnswerConfig, told, "answer")
    if questions is not None:
        if set(answer.model_fields_set) - {"sure"}:
            raise DataError(
                "--questions judges what is found and quoted: no model answers there.",
                fix="Leave out the settings of answer. but answer.sure.",
            )
        asked = (questions, qrels, group)
        _judge(index, asked, config, answer, calibrate=calibrate, as_json=as_json)
        return
    if not question.strip():
        raise DataError("there is no question.", fix='Write one: fucina ask INDEX "…".')
    with open_library(index, keys=os.environ, rerank=config.rerank) as library:
        if answer.by is None:
            found = Told(ask(library, question, config, least=answer.sure))
        else:
            with open_answerer(answer, os.environ) as speaker:
                found = tell(library, question, config, speaker, answer)
    if as_json:
        print_json(_facts(found))
        return
    console.print(_text(found), markup=False, soft_wrap=True)
    console.print()
    for number, hit in enumerate(found.asked.hits, start=1):
        console.print(f"[{number}] {hit.place}", markup=False, soft_wrap=True, style="dim")


def _judge(
    index: Path,
    asked: tuple[Path, Path | None, str],
    config: "SearchConfig",
    answer: "AnswerConfig",
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
    with (
        reporting(quiet=as_json) as (progress, _),
        open_library(index, keys=os.environ, rerank=config.rerank) as library,
    ):
        found = examine(
            library, known, config, least=answer.sure, calibrate=calibrate, progress=progress
        )
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


def _text(told: "Told") -> str:
    asked = told.asked
    sure = f"{asked.sure:.0%} sure that the documents have it"
    if not asked.hits:
        return "Nothing in the documents that were asked for."
    if asked.weak:
        return f"Not in the documents ({sure}). The nearest:"
    if told.cited is None or told.prompt is None or told.reply is None:
        quotes = [f"«{quote.text}» [{quote.hit + 1}]" for quote in asked.quotes]
        return "\n".join([*quotes, f"({sure})"])
    lines = [told.cited.text]
    if told.cited.not_there:
        lines = ["Not in the documents, says the model. What it was given:"]
    elif not told.cited.numbers:
        lines.append("(it cites nothing: check it against what it was given)")
    if told.cited.invented:
        lines.append(f"(it cited {_listed(told.cited.invented)}, which it was not given)")
    parts = ", ".join(f"{name} {count:,}" for name, count in told.prompt.tokens.items() if count)
    lines.append(
        f"({sure}; tokens: {parts}, answer {told.reply.answer_tokens:,}; "
        f"{told.reply.seconds:.1f} s)"
    )
    if told.prompt.left_out:
        lines.append(f"({told.prompt.left_out} of {len(asked.hits)} documents did not fit)")
    return "\n".join(lines)


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(f"[{number}]" for number in numbers)


def _facts(told: "Told") -> dict[str, Any]:
    asked = told.asked
    answer = None if asked.weak else " ".join(quote.text for quote in asked.quotes)
    facts: dict[str, Any] = {"question": asked.question, "answer": answer}
    facts["in_documents"] = not asked.weak
    if told.cited is not None and told.prompt is not None and told.reply is not None:
        facts["answer"] = told.cited.text if told.answered else None
        facts["in_documents"] = told.answered
        facts["citations"] = list(told.cited.numbers)
        facts["invented_citations"] = list(told.cited.invented)
        facts["tokens"] = {**told.prompt.tokens, "answer": told.reply.answer_tokens}
        facts["left_out"] = told.prompt.left_out
        facts["seconds"] = round(told.reply.seconds, 3)
    return facts | {
        "sure": round(asked.sure, 4),
        "quotes": [
            {"text": q.text, "source": q.hit + 1, "place": q.place, "score": round(q.score, 4)}
            for q in asked.quotes
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
            for number, hit in enumerate(asked.hits, start=1)
        ],
    }
