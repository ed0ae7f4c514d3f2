"""How an answer out of documents is shown."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fucina.answering import Told

__all__ = ["answer_facts", "answer_text", "show_answer"]


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


def answer_facts(told: "Told") -> dict[str, Any]:
    """An answer as JSON has it."""
    asked = told.asked
    answer = None if asked.weak else " ".join(quote.text for quote in asked.quotes)
    facts: dict[str, Any] = {"question": asked.question, "answer": answer}
    facts["in_documents"] = not asked.weak
    facts["searched"] = asked.searched
    if told.cited is not None and told.prompt is not None and told.reply is not None:
        facts["answer"] = told.cited.text if told.answered else None
        facts["in_documents"] = told.answered
        facts["citations"] = list(told.cited.numbers)
        facts["invented_citations"] = list(told.cited.invented)
        facts["tokens"] = {**told.prompt.tokens, "answer": told.reply.answer_tokens}
        facts["left_out"] = told.prompt.left_out
        facts["forgotten"] = told.prompt.forgotten
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
