"""fucina ask INDEX [QUESTION]: answers out of documents, with where they stand."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fucina.config import AnswerConfig, JudgeConfig, SearchConfig

__all__ = ["command"]

SETTING = re.compile(r"[a-z_]+(?:\.[a-z_]+)*=\S*")


def command(
    index: Annotated[Path, typer.Argument(help="Folder of an index.")],
    question: Annotated[
        str,
        typer.Argument(help="What is asked, in words; without one, each line of standard input."),
    ] = "",
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="top=…, ranking=…, folder=…, tag=…, since=…; answer.by=RUN|BASE|MODEL, "
            "answer.url=…, answer.sure=… and others; with --questions also judge.url=… and "
            "judge.model=….",
        ),
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(help="Judge the answers to a file of questions with answer or file instead."),
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
    """Answer questions out of documents, and say where the answers stand."""
    import os

    from fucina.cli.answers import show_answer
    from fucina.cli.chat import answer_lines, require_words
    from fucina.cli.examined import judge_questions
    from fucina.cli.screen import print_json
    from fucina.documents import answer_facts, open_teller, require_heard
    from fucina.errors import DataError

    # Without a question the first word may be a setting.
    words = list(overrides or [])
    if questions is not None or SETTING.fullmatch(question):
        words, question = [word for word in (question, *words) if word], ""
    elif question:
        require_words(question)
    config, answer, judge = _settings(words)
    require_heard(answer)
    if questions is not None:
        asked = (questions, qrels, group)
        judge_questions(index, asked, config, answer, judge, calibrate=calibrate, as_json=as_json)
        return
    if judge or qrels or group or calibrate:
        raise DataError(
            "judge., --qrels, --group and --calibrate are for a file of questions.",
            fix="Leave them out, or give --questions FILE.",
        )
    with open_teller(index, config, answer, os.environ) as told_of:
        if not question:
            answer_lines(told_of, as_json=as_json)
        elif as_json:
            print_json(answer_facts(told_of(question, ())))
        else:
            show_answer(told_of(question, ()))


def _settings(
    words: Sequence[str],
) -> "tuple[SearchConfig, AnswerConfig, JudgeConfig | None]":
    """How to look, who answers, and who judges, if anybody does."""
    from fucina.config import AnswerConfig, JudgeConfig, SearchConfig
    from fucina.settings_file import of_words

    parts: dict[str, list[str]] = {"answer.": [], "judge.": [], "": []}
    for word in words:
        part = next(part for part in parts if word.startswith(part))
        parts[part].append(word.removeprefix(part))
    judge = of_words(JudgeConfig, parts["judge."], "judge") if parts["judge."] else None
    return (
        of_words(SearchConfig, parts[""], "search"),
        of_words(AnswerConfig, parts["answer."], "answer"),
        judge,
    )
