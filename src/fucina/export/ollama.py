"""A folder that `ollama create` reads: the GGUF file, and a Modelfile that was compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import run
from fucina.errors import ModelError
from fucina.export.turns import as_go, compare, turns_of
from fucina.models.template import Template
from fucina.records import Check, Example

if TYPE_CHECKING:
    from fucina.export.gguf import Written

__all__ = ["Modelfile", "modelfile", "write_modelfile"]

NAME = "Modelfile"


@dataclass(frozen=True)
class Modelfile:
    """What `ollama create` reads.

    Attributes:
        text: Of the file.
        template: Ollama's, in it.
        check: How the template was held against the tokenizer's own.
        notes: What a person should know.
    """

    text: str
    template: str
    check: Check
    notes: tuple[str, ...] = ()


def modelfile(
    written: "Written",
    template: Template,
    *,
    max_tokens: int,
    license_text: str = "",
    adapter: Path | None = None,
    base: str = "",
    rows: Sequence[Example] = (),
) -> Modelfile:
    """Make a Modelfile for a GGUF file.

    Args:
        written: The file, in the folder that the Modelfile goes to.
        template: How the run wrote conversations, with its system.
        max_tokens: Of an answer.
        license_text: Of the base; empty for none.
        adapter: A LoRA adapter as GGUF in the same folder, put on the file.
        base: What stands in FROM instead of the file, such as `llama3.2:1b`; empty for the file.
        rows: Held-out conversations on which the templates are compared too.

    Raises:
        ModelError: Ollama's templates cannot write what the tokenizer's does.
    """
    begin = template.tokenizer.bos_token if written.adds_begin else ""
    turns = turns_of(template)
    source = as_go(turns, begin)
    check = compare(source, template, rows, begin_token=begin)
    if not check.passed:
        raise ModelError(
            f"the chat template ({template.name}) cannot be written as Ollama's: they differ in "
            f"{check.cases - round(check.value * check.cases)} of {check.cases} conversations "
            f"({check.note}).",
            fix="Train with chat.template: chatml for Ollama, or give llama.cpp the GGUF file, "
            "which reads the template itself.",
        )
    stops = dict.fromkeys([template.end, *turns.special])
    lines = [
        f"FROM {base or f'./{written.path.name}'}",
        *([f"ADAPTER ./{adapter.name}"] if adapter else []),
        f"TEMPLATE {_quoted(source, 'template')}",
        *([f"SYSTEM {_quoted(template.system, 'system')}"] if template.system else []),
        *(f'PARAMETER stop "{stop}"' for stop in stops),
        f"PARAMETER num_ctx {written.context}",
        f"PARAMETER num_predict {max_tokens}",
        "PARAMETER temperature 0",
        # Ollama makes words less likely that were written before; training did not.
        "PARAMETER repeat_penalty 1",
        *([f"LICENSE {_quoted(license_text, 'license')}"] if license_text else []),
    ]
    return Modelfile("\n".join(lines) + "\n", source, check, tuple(_notes(template, rows)))


def write_modelfile(made: Modelfile, folder: Path) -> Path:
    """Write a Modelfile beside its GGUF file.

    Args:
        made: As `modelfile` gives it.
        folder: Of the GGUF file.

    Returns:
        The file.

    Raises:
        ResourceError: The disk is full.
    """
    run.write_text(folder / NAME, made.text)
    return folder / NAME


def _quoted(text: str, what: str) -> str:
    if '"""' in text or text.endswith('"'):
        raise ModelError(
            f"the {what} has three quotes or ends with one, which a Modelfile cannot say: "
            f"{text[-60:]!r}.",
            fix=f"Write the {what} with other quotes.",
        )
    return f'"""{text}"""'


def _notes(template: Template, rows: Sequence[Example]) -> list[str]:
    """Where Ollama writes another prompt than training did."""
    from fucina.records import Message

    notes = []
    if template.write([Message("user", " x ")], asking=True) == template.write(
        [Message("user", "x")], asking=True
    ):
        notes.append("the tokenizer leaves out blanks around texts; Ollama keeps them")
    if any(row.tools for row in rows):
        notes.append("the template for Ollama has no tools")
    return notes
