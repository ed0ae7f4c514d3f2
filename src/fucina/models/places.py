"""Where the answers stand in a conversation that a chat template has written."""

from collections.abc import Sequence
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING

from fucina.errors import DataError, ModelError
from fucina.records import Example, Message

if TYPE_CHECKING:
    from fucina.models.template import Template

__all__ = ["find_answers", "find_closing", "lead"]

MARK = "Zq{}Kx"  # stands for the n-th text of a conversation while its place is looked for


def find_answers(
    template: "Template", messages: Sequence[Message], example: Example, text: str
) -> list[tuple[int, int]]:
    """Where the learnt parts begin and end in a text.

    Args:
        template: Wrote the text.
        messages: The turns in it.
        example: The row they are of, for its tools and its name.
        text: The conversation as it was written.

    Raises:
        DataError: The template changes an answer so that it cannot be found.
    """
    turns = [i for i, message in enumerate(messages) if message.role == "assistant"]
    learnt = turns if template.supervise == "assistant" else turns[-1:]
    begins = _begins(template, messages, example, text, learnt)
    for place, i in enumerate(learnt):
        if messages[i].tool_calls:  # what stands before a text may not stand there at use
            before = template.write(messages[:i], example.tools, asking=True)
            begins[place] = len(before) if text.startswith(before) else begins[place]
    asking = template.write(messages[:-1], example.tools, asking=True)
    if text.startswith(asking):
        begins[-1] = len(asking)
    spans = []
    for i, begin, follow in zip(learnt, begins, [*begins[1:], len(text)], strict=True):
        if messages[i].tool_calls and i + 1 < len(messages):
            follow = min(follow, _where_others_begin(template, messages[: i + 1], example, text))
        end = text.find(template.closing, begin, follow)
        said = messages[i].content.strip()
        place = text.find(said, begin, follow)
        if place >= 0 and not messages[i].tool_calls:
            stop = place + len(said)
            if end < stop or template.control_tokens(text[stop:end]):
                # The end is another turn's: this one ends with nothing but its text.
                end, follow = -1, follow if i + 1 == len(messages) else stop
        spans.append((begin, follow if end < 0 else end + len(template.closing)))
        _refuse_lost_calls(template, messages[i], text[slice(*spans[-1])], i + 1)
    return spans


def _refuse_lost_calls(template: "Template", turn: Message, written: str, number: int) -> None:
    """A template that writes no calls would teach an answer of nothing but its end."""
    for call in turn.tool_calls:
        if (name := call["function"]["name"]) not in written:
            raise DataError(
                f"the chat template ({template.name}) does not write the call of {name!r} in turn "
                f"{number} where the assistant speaks.",
                fix="Set chat.template: chatml, which writes calls, or give a Jinja file that "
                "writes tool_calls.",
            )


def _where_others_begin(
    template: "Template", messages: Sequence[Message], example: Example, text: str
) -> int:
    """Where a text goes on after some turns: a call may end with another token than an answer."""
    alone = template.write(messages, example.tools).rstrip()
    return len(alone) if text.startswith(alone) else len(text)


def _begins(
    template: "Template",
    messages: Sequence[Message],
    example: Example,
    text: str,
    learnt: Sequence[int],
) -> list[int]:
    """Where the answers begin: marks are written in their place, and what is around them kept.

    Templates write earlier turns otherwise than the last, and strip texts, so that neither
    searching for an answer nor writing the turns before it alone finds its place.
    """
    marked = list(messages)
    for i in learnt:
        marked[i] = Message("assistant", MARK.format(i), messages[i].tool_calls)
    pieces = _around(template.write(marked, example.tools), [MARK.format(i) for i in learnt])
    if not pieces:  # some templates write no text beside a call
        return _begins_one_by_one(template, messages, example, text, learnt)
    begins, place = [], 0
    for number, i in enumerate(learnt):
        piece = pieces[number]
        if not text.startswith(piece, place):
            return _begins_one_by_one(template, messages, example, text, learnt)
        place += len(piece)
        begins.append(place - len(template.lead) if piece.endswith(template.lead) else place)
        after = pieces[number + 1]
        said = messages[i].content
        # A line break after a text is often left out where only calls are made.
        alone = [("", after.removeprefix("\n"))] if not said.strip() else []
        for written, rest in [(said, after), (said.strip(), after), *alone]:
            if text.startswith(written + rest, place):
                place += len(written)
                pieces[number + 1] = rest
                break
        else:
            return _begins_one_by_one(template, messages, example, text, learnt)
    return begins


def _begins_one_by_one(
    template: "Template",
    messages: Sequence[Message],
    example: Example,
    text: str,
    learnt: Sequence[int],
) -> list[int]:
    """The same by writing all turns before each answer: for turns of calls without a text."""
    begins = []
    for i in learnt:
        before = template.write(messages[:i], example.tools, asking=True)
        if not text.startswith(before):
            raise DataError(
                f"the chat template ({template.name}) writes turn {i + 1} in a "
                "way that its answer cannot be found again.",
                fix="Set chat.supervise: last, or give another chat.template.",
            )
        begins.append(len(before))
    return begins


def find_closing(template: "Template") -> list[int]:
    """The first special token after an answer; more of them, up to the tokenizer's end token.

    Raises:
        ModelError: The template writes none, so a model could never learn to stop.
    """
    asked, said = Message("user", MARK.format(0)), Message("assistant", MARK.format(1))
    text = template.write([asked, said, Message("user", MARK.format(2))])
    if MARK.format(1) not in text:
        raise ModelError(
            f"the chat template ({template.name}) does not write the text of an answer; templates "
            "of models that see pictures may want it in another form.",
            fix="Set chat.template: chatml, or give a Jinja file that writes content.",
        )
    after = text.partition(MARK.format(1))[2].partition(MARK.format(2))[0]
    ids: list[int] = template.tokenizer(after, add_special_tokens=False)["input_ids"]
    run = list(dropwhile(lambda number: number not in template.special, ids))
    run = list(takewhile(template.special.__contains__, run))
    if not run:
        raise ModelError(
            f"the chat template ({template.name}) ends an answer with no special token of the "
            f"tokenizer: the model could not learn when to stop.",
            fix="Set chat.template: chatml, or give a template that writes eos_token after "
            "each answer.",
        )
    last = template.tokenizer.eos_token_id
    return run[: run.index(last) + 1] if last in run else run[:1]


def lead(template: "Template") -> str:
    """What stands between where the assistant begins to speak and its text, such as a space."""
    asked, said = Message("user", MARK.format(0)), Message("assistant", MARK.format(1))
    before, whole = template.write([asked], asking=True), template.write([asked, said])
    after = whole[len(before) :] if whole.startswith(before) else ""
    return after.partition(MARK.format(1))[0] if MARK.format(1) in after else ""


def _around(text: str, marks: Sequence[str]) -> list[str]:
    """The parts of a text between marks, one more than there are marks where all are found."""
    pieces, rest = [], text
    for mark in marks:
        piece, found, rest = rest.partition(mark)
        if not found:
            return []
        pieces.append(piece)
    return [*pieces, rest]
