"""How an answer out of documents is shown."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fucina.answering import Told

__all__ = ["answer_text", "show_answer"]


def show_answer(told: "Told") -> None:
    """Print an answer and where it stands."""
    from fucina.cli.screen import console

    console.print(answer_text(told), markup=False, soft_wrap=True)
    console.print()
    for number, hit in enumerate(told.asked.hits, start=1):
        console.print(f"[{number}] {hit.place}", markup=False, soft_wrap=True, style="dim")


def answer_text(told: "Told") -> str:
    """An answer for people."""
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
    elif not told.answered:
        lines = ["(it wrote nothing)"]
    elif not told.cited.numbers:
        lines.append("(it cites nothing: check it against what it was given)")
    if told.cited.invented:
        lines.append(f"(it cited {_listed(told.cited.invented)}, which it was not given)")
    parts = ", ".join(f"{name} {count:,}" for name, count in told.prompt.tokens.items() if count)
    lines.append(
        f"({sure}; tokens: {parts}, answer {told.reply.answer_tokens:,}; "
        f"{told.reply.seconds:.1f} s)"
    )
    if told.prompt.forgotten:
        lines.append(f"(earlier questions that did not fit: {told.prompt.forgotten})")
    if told.prompt.left_out:
        lines.append(f"({told.prompt.left_out} of {len(asked.hits)} documents did not fit)")
    return "\n".join(lines)


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(f"[{number}]" for number in numbers)
