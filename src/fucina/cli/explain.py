"""fucina explain RUN TEXT|FILE|-: which words decided, and whether that is true."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.text import Text

    from fucina.records import Explanation

__all__ = ["command"]

TOP = 8
BAR = 24
# Orange and blue are told apart by all eyes; on a terminal without colors the table remains.
FOR = ("", "color(180)", "color(179)", "black on color(180)", "black on color(179)",
       "bold black on color(214)")  # fmt: skip
AGAINST = ("", "color(110)", "color(74)", "black on color(110)", "black on color(74)",
           "bold black on color(39)")  # fmt: skip


def command(
    run: Annotated[Path, typer.Argument(help="A run folder, or the folder of a recipe's name.")],
    source: Annotated[
        str,
        typer.Argument(
            help="A text, a file with one text a line or of rows (.jsonl, .csv…), or - for "
            "standard input."
        ),
    ],
    method: Annotated[
        Literal["occlusion", "gradients"],
        typer.Option(help="Leave words out, or follow integrated gradients."),
    ] = "occlusion",
    label: Annotated[
        str | None,
        typer.Option(help="The label, type or answer to explain; else what the model answers."),
    ] = None,
    span: Annotated[
        str | None, typer.Option(help="Of a model that marks: the words to explain.")
    ] = None,
    member: Annotated[
        str, typer.Option(help="all, best, or the number of one that learned on a fold.")
    ] = "all",
    like: Annotated[
        int, typer.Option(min=0, help="How many training rows that resemble it to show.")
    ] = 0,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file, too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say which words decided an answer, and prove that they did."""
    from fucina import explaining
    from fucina.cli.predict import rows_of
    from fucina.cli.screen import print_json, reporting
    from fucina.explain import Wanted
    from fucina.run import find

    if html is not None:
        _require_place(html)
    folder = find(run)
    rows = rows_of(folder, source, [])
    with reporting(quiet=as_json) as (progress, _):
        found = explaining.explain_run(
            folder, rows, Wanted(method, label, span),
            member=member, neighbors=like, progress=progress,
        )  # fmt: skip
        if html is not None:
            explaining.write_page(found, folder, html)
    if as_json:
        print_json([one.facts() for one in found])
        return
    for number, one in enumerate(found):
        _show(one, first=number == 0)
    if html is not None:
        typer.echo(f"page    {html}")


def _require_place(path: Path) -> None:
    """Refuse, before anything is computed, a place where no file can be."""
    from fucina.errors import DataError

    there = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not there.is_dir():
        raise DataError(
            f"--html {path} cannot be written: {path if path.is_dir() else there} is "
            f"{'a folder' if path.is_dir() else 'no folder'}.",
            fix="Give another file: --html FILE.",
        )


def _show(found: "Explanation", *, first: bool) -> None:
    from rich.text import Text

    from fucina.cli.screen import console
    from fucina.explained import confidence, faith, methods

    if not first:
        console.print()
    answer = found.answer or "(nothing)"
    if found.span is not None:
        answer = f"{found.text[slice(*found.span)]}: {answer}"
    console.print(Text.assemble((answer, "bold"), f"  {confidence(found)}"))
    console.print(_colored(found))
    console.print()
    _show_weights(found)
    said, warns = faith(found)
    console.print(Text(said, "bold red" if warns else ""))
    if not found.converged:
        warning = "The gradients did not converge: believe the test above, or use occlusion."
        console.print(Text(warning, "bold red"))
    for note in found.notes:
        console.print(Text(note))
    if found.neighbors:
        console.print("Training rows that resemble it")
    for near in found.neighbors:
        line = Text(f"  {near.likeness:.2f} {near.answer}: {' '.join(near.text.split())}")
        line.truncate(console.width - 1, overflow="ellipsis")
        console.print(line)
    console.print(Text(methods(found), "dim"))


def _colored(found: "Explanation") -> "Text":
    """The text with its words in the colors of their weights."""
    from rich.text import Text

    from fucina.explained import strength

    most = max((abs(word.value or 0.0) for word in found.words), default=0.0)
    shown = Text(found.text)
    for word in found.words:
        if word.value is None:
            shown.stylize("dim strike", word.start, word.end)
            continue
        step = strength(word.value, most)
        if step:
            shown.stylize(FOR[step] if step > 0 else AGAINST[-step], word.start, word.end)
    return shown


def _show_weights(found: "Explanation") -> None:
    """The heaviest words with their weights as numbers and bars."""
    from rich.cells import set_cell_size
    from rich.text import Text

    from fucina.cli.screen import console
    from fucina.explained import signed

    heaviest = found.heaviest[:TOP]
    most = max((abs(word.value or 0.0) for word in heaviest), default=0.0)
    wide = min(24, max((Text(found.word(word)).cell_len for word in heaviest), default=0))
    for word in heaviest:
        value = word.value or 0.0
        bar = round(BAR * abs(value) / most) if most else 0
        style = FOR[2] if value > 0 else AGAINST[2]
        name = set_cell_size(found.word(word), wide)
        console.print(Text.assemble(f"{name}  {signed(value):>8}  ", ("█" * bar, style)))
    rest = len(found.heaviest) - len(heaviest)
    if rest:
        console.print(Text(f"and {rest} more words that weigh less", "dim"))
    console.print()
