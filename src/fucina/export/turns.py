"""What a chat template does with plain turns, found by letting it write some."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fucina.errors import DataError, ModelError
from fucina.export.go_template import literal, render
from fucina.models.template import Template
from fucina.records import Check, Example, Message

__all__ = ["Turns", "as_go", "compare", "turns_of"]

MARKS = {"system": "Zq0Kx", "user": "Zq1Kx", "assistant": "Zq2Kx", "last": "Zq3Kx"}
QUESTION, ANSWER = Message("user", MARKS["user"]), Message("assistant", MARKS["assistant"])
LAST, SYSTEM = Message("user", MARKS["last"]), Message("system", MARKS["system"])


@dataclass(frozen=True)
class Turns:
    """What stands around the texts of a conversation.

    Attributes:
        begin: Before the first question, without a system.
        ordered: Before the system's text, and between it and the first question.
        asked: Between a question and its answer.
        asking: Behind the last question, where the answer begins.
        answered: Between an answer and the next question.
        late: The system's text stands before the last question instead of the first.
        special: Special tokens in `answered`: where one is written, the answer is over.
    """

    begin: str
    ordered: tuple[str, str]
    asked: str
    asking: str
    answered: str
    late: bool = False
    special: tuple[str, ...] = field(default=())


def turns_of(template: Template) -> Turns:
    """Find what a template writes around texts.

    Args:
        template: Its own system is not looked at.

    Raises:
        ModelError: It writes texts otherwise than one after another.
    """
    begin, asked, answered, asking = _around(template, (QUESTION, ANSWER, LAST))
    first, between, *_ = _around(template, (SYSTEM, LAST))
    late = False
    try:
        _around(template, (SYSTEM, QUESTION, ANSWER, LAST))
    except ModelError:
        late = True
        *_, between, _ = _around(
            template, (SYSTEM, QUESTION, ANSWER, LAST), (QUESTION, ANSWER, SYSTEM, LAST)
        )
        if first != begin:
            raise
    special = [token for token in template.special.values() if token and token in answered]
    special.sort(key=answered.index)
    return Turns(begin, (first, between), asked, asking, answered, late, tuple(special))


def _around(
    template: Template, turns: Sequence[Message], order: Sequence[Message] | None = None
) -> list[str]:
    """The parts of a conversation around its texts, one more than there are turns.

    Raises:
        ModelError: They are not found in this order.
    """
    try:
        rest = template.write(turns, asking=True)
    except DataError as error:
        raise _not_plain(template, error.problem) from error
    parts = []
    for turn in order or turns:
        part, found, rest = rest.partition(turn.content)
        if not found:
            raise _not_plain(template, f"the {turn.role}'s text is not where it is looked for")
        parts.append(part)
    return [*parts, rest]


def _not_plain(template: Template, why: str) -> ModelError:
    return ModelError(
        f"the chat template ({template.name}) cannot be written as Ollama's: {why}.",
        fix="Train with chat.template: chatml for Ollama, or give llama.cpp the GGUF file, which "
        "reads the template itself.",
    )


def as_go(turns: Turns, begin_token: str = "") -> str:
    """The same as a template for Ollama.

    Args:
        turns: What stands around texts.
        begin_token: What llama.cpp writes before each prompt, so that the template must not.
    """
    begin = literal(turns.begin.removeprefix(begin_token))
    before, between = turns.ordered[0].removeprefix(begin_token), literal(turns.ordered[1])
    asked = literal(turns.asked)
    if turns.asking != turns.asked:
        asked = f"{{{{ if $last }}}}{literal(turns.asking)}{{{{ else }}}}{asked}{{{{ end }}}}"
    answer = f"{{{{ .Content }}}}{{{{ if not $last }}}}{literal(turns.answered)}{{{{ end }}}}"
    first, system, late = "{{ if eq $i 0 }}", "", ""
    if turns.late:
        late = f"{{{{ if and $last $.System }}}}{{{{ $.System }}}}{between}{{{{ end }}}}"
    else:
        system = f"{literal(before)}{{{{ .Content }}}}{between}"
    head = f"{first}{begin}{{{{ end }}}}" if begin else ""
    outside, inside = (head, "") if turns.late else ("", head)
    return (
        "{{ range $i, $turn := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
        f'{outside}{{{{ if eq .Role "system" }}}}{system}{{{{ else }}}}{inside}'
        f'{{{{ if eq .Role "user" }}}}{late}{{{{ .Content }}}}{asked}'
        f"{{{{ else }}}}{answer}{{{{ end }}}}{{{{ end }}}}{{{{ end }}}}"
    )


TEXTS = ("Perché no? È già l'una.", "", 'città\n\n"sì" {{ .System }} %s \\n', "1\t2", "👍")


def compare(
    source: str, template: Template, rows: Sequence[Example] = (), *, begin_token: str = ""
) -> Check:
    """Hold a template for Ollama against the tokenizer's own, text by text.

    Args:
        source: The template.
        template: The tokenizer's own.
        rows: Conversations beside those that are always compared; those with tools are left out,
            as the template has none.
        begin_token: What llama.cpp writes before each prompt.
    """
    cases = [*_probes(), *(_plain(template, row) for row in rows if not row.tools)]
    others = []
    for turns in cases:
        expected = template.write(turns, asking=True)
        if begin_token + render(source, turns) != expected:
            others.append(turns)
    share = 1 - len(others) / len(cases)
    note = f"first difference: {others[0][-1].content[:80]!r}" if others else ""
    return Check("template", "ollama", len(cases), share, 1.0, not others, note)


def _plain(template: Template, row: Example) -> tuple[Message, ...]:
    turns = template.conversation(row)
    return turns[:-1] if turns[-1].role == "assistant" else turns


def _probes() -> list[tuple[Message, ...]]:
    """Conversations of one to four questions, with and without a system, texts of all kinds."""
    found = []
    for system in ((), (Message("system", "Sii breve: «sì» o «no».\nNient'altro."),)):
        for shift in range(len(TEXTS)):
            for questions in (1, 2, 4):
                roles = ("user", "assistant") * questions
                turns = [
                    Message(role, TEXTS[(shift + place) % len(TEXTS)])
                    for place, role in enumerate(roles[:-1])
                ]
                found.append((*system, *turns))
    return found
