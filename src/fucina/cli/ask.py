"""fucina ask INDEX QUESTION: answers out of documents, with where they stand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fucina.library import Answered

__all__ = ["command"]


def command(
    index: Annotated[Path, typer.Argument(help="Folder of an index.")],
    question: Annotated[str, typer.Argument(help="What is asked, in words.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="top=…, ranking=…, folder=…, tag=…, since=… and others."
        ),
    ] = None,
    sure: Annotated[
        float, typer.Option(min=0, max=1, help="Below this probability it does not answer.")
    ] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Answer a question with the words of the documents, and say where they stand."""
    import os

    from fucina.cli.screen import console, print_json
    from fucina.config import SearchConfig
    from fucina.errors import DataError
    from fucina.library import ask, open_library
    from fucina.settings_file import of_words

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
