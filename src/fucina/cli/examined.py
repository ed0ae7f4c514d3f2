"""A file of questions, judged: what fucina ask --questions prints."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from fucina.config import AnswerConfig, JudgeConfig, SearchConfig
    from fucina.evaluate import Judge
    from fucina.examining import Examined
    from fucina.records import Progress
    from fucina.speaking import Speaker

__all__ = ["judge_questions"]

OPINIONS = "opinions.jsonl"  # beside the index; what was decided once is not asked again


def judge_questions(
    index: Path,
    asked: tuple[Path, Path | None, str],
    config: "SearchConfig",
    answer: "AnswerConfig",
    judge: "JudgeConfig | None",
    *,
    calibrate: bool,
    as_json: bool,
) -> None:
    """Ask a whole file of questions and print the scores.

    Args:
        index: Folder of the index.
        asked: The file, relevance judgments or None, and the column that tells questions apart.
        config: How to look.
        answer: Who answers.
        judge: Who decides whether documents support an answer, or None.
        calibrate: Learn from them how sure the index may be.
        as_json: Print one JSON document.
    """
    from dataclasses import asdict

    from fucina.cli.screen import console, print_json, reporting
    from fucina.examining import examine, read_known
    from fucina.library import open_library

    path, qrels, group = asked
    known = read_known(path, qrels, group=group)
    with (
        reporting(quiet=as_json) as (progress, _),
        open_library(index, keys=os.environ, rerank=config.rerank) as library,
        _speaker(answer) as speaker,
    ):
        decides = _judge(judge, index, progress)
        found = examine(
            library, known, config, answer=answer, speaker=speaker, judge=decides,
            calibrate=calibrate, progress=progress,
        )  # fmt: skip
    if decides is not None and decides.not_judged:
        typer.echo(
            f"answers that are not judged: {decides.not_judged}; {decides.problem}", err=True
        )
    if as_json:
        print_json({name: asdict(part) for name, part in found.items()})
        return
    for name, part in found.items():
        title = f"{part.questions} questions" + ("" if name == "all" else f", {name}")
        console.print(_scores(part, f"{title} ({part.answerable} that the documents answer)"))
        console.print()
    for line in _below(found["all"]):
        console.print(line, markup=False)
    if judge is None:
        console.print("faithful by a judge is left out: name one, judge.url=… judge.model=…")
    if calibrate:
        console.print("kept in the index: how sure it may be, learnt from these very questions")


@contextmanager
def _speaker(answer: "AnswerConfig") -> "Iterator[Speaker | None]":
    """Who answers, if not the documents themselves."""
    if answer.by is None:
        yield None
        return
    from fucina.answering import open_answerer

    with open_answerer(answer, os.environ) as speaker:
        yield speaker


def _judge(config: "JudgeConfig | None", index: Path, progress: "Progress") -> "Judge | None":
    if config is None:
        return None
    from fucina.endpoint import require_key
    from fucina.evaluate import Judge

    key = os.environ.get(config.key_variable, "")
    require_key(config, key, section="judge")
    return Judge(config, key, index / OPINIONS, progress=progress)


def _scores(part: "Examined", title: str) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, score in part.scores.items():
        table.add_row(name, f"{score.value:.3f}", f"{score.low:.3f} to {score.high:.3f}")
    return table


def _below(part: "Examined") -> list[str]:
    """What stands below the tables: time and tokens."""
    p50, p95 = part.latency_ms
    lines = [f"one search takes {p50:.1f} ms (p50), {p95:.1f} ms (p95)"]
    if part.answer_ms is not None:
        p50, p95 = (taken / 1000 for taken in part.answer_ms)
        lines.append(f"one answer takes {p50:.2f} s (p50), {p95:.2f} s (p95)")
        tokens: dict[str, Any] = {name: count for name, count in part.tokens.items() if count}
        listed = ", ".join(f"{name} {count:,.0f}" for name, count in tokens.items())
        lines.append(f"tokens of one answer, on average: {listed}")
    return lines
