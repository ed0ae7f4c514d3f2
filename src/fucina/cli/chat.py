"""Questions line by line: asked on a terminal, or read from a pipe."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fucina.answering import Told
    from fucina.records import Message

__all__ = ["answer_lines", "require_words"]

PROMPT = "> "


def answer_lines(
    answer: "Callable[[str, Sequence[Message]], Told]", *, as_json: bool = False
) -> None:
    """Answer each line of standard input in turn, to its end or Ctrl-C.

    Args:
        answer: Answers a question, given the turns before it.
        as_json: Print one list at the end.

    Raises:
        FucinaError: A line of a pipe could not be answered, or it had none.
    """
    from fucina.cli.answers import show_answer
    from fucina.cli.screen import console, print_json
    from fucina.documents import answer_facts
    from fucina.errors import FucinaError

    typed = sys.stdin.isatty()
    history: list[Message] = []
    found: list[dict[str, Any]] = []
    try:
        for question in _typed(quiet=as_json) if typed else _piped():
            try:
                told = answer(require_words(question), history)
            except FucinaError as error:
                if not typed:
                    raise
                # Who sits there asks again, or something else.
                print(f"error: {error.problem}\nfix:   {error.fix}", file=sys.stderr)  # noqa: T201
                continue
            history += told.turns
            found.append(answer_facts(told))
            if not as_json:
                if not typed:
                    console.print(f"{PROMPT}{question}", markup=False, soft_wrap=True)
                show_answer(told)
                console.print()
                sys.stdout.flush()
    except KeyboardInterrupt:
        print(file=sys.stderr)  # noqa: T201
    else:
        if not typed and not found:
            require_words("")
    if as_json:
        print_json(found)


def require_words(question: str) -> str:
    """Refuse what is no question.

    Raises:
        DataError: It is empty, or was not UTF-8.
    """
    from fucina.errors import DataError

    if not question.strip():
        raise DataError("there is no question.", fix='Write one: fucina ask INDEX "…".')
    # What Python could not decode it keeps as halves of pairs.
    if any("\ud800" <= letter <= "\udfff" for letter in question):
        raise DataError("the question is not UTF-8.", fix="Write or save it as UTF-8.")
    return question


def _piped() -> Iterator[str]:
    from fucina.errors import DataError

    try:
        for line in sys.stdin:
            if line.strip():
                yield line.strip()
    except UnicodeDecodeError as error:
        raise DataError("the questions are not UTF-8.", fix="Save them as UTF-8.") from error


def _typed(*, quiet: bool) -> Iterator[str]:
    """Lines of a terminal, up to Ctrl-D; where output is JSON, the prompt is kept out of it."""
    if not quiet:
        with suppress(ImportError):
            import_module("readline")  # arrows and earlier lines
    while True:
        if quiet:
            print(PROMPT, end="", file=sys.stderr, flush=True)  # noqa: T201
        try:
            line = input("" if quiet else PROMPT).strip()
        except EOFError:
            print(file=sys.stderr)  # noqa: T201
            return
        if line:
            yield line
