"""The part of Go's text/template that our Modelfiles use, rendered as Ollama renders it.

Sources: https://pkg.go.dev/text/template and Ollama's docs/template.md. What is not known here is
an error, so that nothing is written that was not compared.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fucina.errors import ModelError
from fucina.records import Message

__all__ = ["literal", "render"]

QUOTED = r'"(?:[^"\\]|\\.)*"'  # in which braces mean nothing
ACTION = re.compile(rf"\{{\{{(- )?\s*((?:{QUOTED}|[^\"])*?)\s*( -)?\}}\}}")
TOKEN = re.compile(rf'{QUOTED}|:=|[(),]|[^\s(),"]+')
Values = dict[str, Any]


def render(source: str, turns: Sequence[Message]) -> str:
    """Write a conversation as Ollama does with a template that ranges over `.Messages`.

    Args:
        source: The template.
        turns: The conversation, the system's turn first if there is one.

    Raises:
        ModelError: The template has something that is not known here.

    Example:
        >>> source = "{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}"
        >>> render(source, [Message("user", "ciao"), Message("assistant", "sì")])
        '<user>ciao<assistant>sì'
    """
    messages: list[Values] = []
    for turn in turns:  # turns of one role that follow each other become one
        if messages and messages[-1]["Role"] == turn.role:
            messages[-1]["Content"] += f"\n\n{turn.content}"
        else:
            messages.append({"Role": turn.role, "Content": turn.content})
    system = "\n\n".join(turn.content for turn in turns if turn.role == "system")
    given = {"System": system, "Messages": messages, "Response": "", "Tools": None}
    parser = _Parser(_parts(source))
    block = parser.block()
    if parser.rest:
        raise _unknown("{{ end }} that ends nothing")
    written: list[str] = []
    try:
        _run(block, given, {"$": given}, written)
    except (TypeError, IndexError, KeyError) as error:
        raise _unknown(str(error)) from error
    return "".join(written)


def literal(text: str) -> str:
    """A text as it stands in a template; one that would be read as an action is quoted.

    Args:
        text: To be written.

    Example:
        >>> literal("<|im_end|>"), literal("{{x")
        ('<|im_end|>', '{{ "{{x" }}')
    """
    if "{{" in text or '"""' in text or text.endswith("{"):
        return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}"
    return text


@dataclass(frozen=True)
class _Node:
    """A text, a value to write, a name to set, a choice or a loop."""

    kind: str
    words: tuple[str, ...] = ()
    text: str = ""
    body: tuple["_Node", ...] = ()
    other: tuple["_Node", ...] = ()


def _parts(source: str) -> list[str | tuple[str, ...]]:
    """Texts, and actions as their words."""
    parts: list[str | tuple[str, ...]] = []
    place, trim = 0, False
    for action in ACTION.finditer(source):
        text = source[place : action.start()]
        text = text.lstrip() if trim else text
        parts.append(text.rstrip() if action[1] else text)
        parts.append(tuple(TOKEN.findall(action[2])))
        place, trim = action.end(), bool(action[3])
    rest = source[place:]
    parts.append(rest.lstrip() if trim else rest)
    return [part for part in parts if part != ""]


class _Parser:
    """Remembers what of a template is not yet read."""

    def __init__(self, parts: Sequence[str | tuple[str, ...]]) -> None:
        self.rest = list(parts)

    def block(self) -> tuple[_Node, ...]:
        """All up to an action that ends or turns a block."""
        nodes: list[_Node] = []
        while self.rest:
            part = self.rest[0]
            if isinstance(part, str):
                nodes.append(_Node("text", text=part))
                self.rest.pop(0)
            elif part[:1] in (("end",), ("else",)):
                break
            else:
                self.rest.pop(0)
                nodes.append(self._action(part))
        return tuple(nodes)

    def _action(self, words: tuple[str, ...]) -> _Node:
        if words[:1] in (("if",), ("range",)):
            return self._opened(words)
        if words[1:2] == (":=",):
            return _Node("set", words[2:], words[0])
        return _Node("write", words)

    def _opened(self, words: tuple[str, ...]) -> _Node:
        """A choice or a loop, up to its end."""
        body = self.block()
        turned = self.rest.pop(0) if self.rest else ()
        if turned == ("end",):
            return _Node(words[0], words[1:], body=body)
        if turned == ("else",):
            other = self.block()
            if not self.rest or self.rest.pop(0) != ("end",):
                raise _unknown("a block without end")
            return _Node(words[0], words[1:], body=body, other=other)
        if turned[:2] == ("else", "if"):
            return _Node(words[0], words[1:], body=body, other=(self._opened(tuple(turned[1:])),))
        raise _unknown("a block without end")


def _run(nodes: Sequence[_Node], dot: Any, names: Values, out: list[str]) -> None:
    for node in nodes:
        if node.kind == "text":
            out.append(node.text)
        elif node.kind == "write":
            out.append(_shown(_value(node.words, dot, names)))
        elif node.kind == "set":
            names[node.text] = _value(node.words, dot, names)
        elif node.kind == "if":
            chosen = node.body if _value(node.words, dot, names) else node.other
            _run(chosen, dot, {**names}, out)
        else:
            _loop(node, dot, names, out)


def _loop(node: _Node, dot: Any, names: Values, out: list[str]) -> None:
    """A range, with or without names for the number and the element."""
    words, called = node.words, ()
    if ":=" in words:
        at = words.index(":=")
        called, words = tuple(word for word in words[:at] if word != ","), words[at + 1 :]
    for number, element in enumerate(_value(words, dot, names)):
        own = {**names, **dict(zip(called[-2:], (number, element), strict=False))}
        _run(node.body, element, own, out)


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: ""}[value]
    return str(value)


def _value(words: Sequence[str], dot: Any, names: Values) -> Any:
    """What an expression is worth: a call of a function, or one value."""
    rest = list(words)
    value = _call(rest, dot, names)
    if rest:
        raise _unknown(" ".join(words))
    return value


def _call(rest: list[str], dot: Any, names: Values) -> Any:
    if rest and rest[0] in FUNCTIONS:
        called, arguments = FUNCTIONS[rest.pop(0)], []
        while rest and rest[0] != ")":
            arguments.append(_one(rest, dot, names))
        return called(arguments)
    return _one(rest, dot, names)


def _one(rest: list[str], dot: Any, names: Values) -> Any:
    word = rest.pop(0) if rest else ""
    if word == "(":
        value = _call(rest, dot, names)
        if not rest or rest.pop(0) != ")":
            raise _unknown("a parenthesis without end")
        if rest and re.fullmatch(r"\.\w+", rest[0]):
            return value[rest.pop(0)[1:]]
        return value
    if word.startswith('"'):
        return json.loads(word)
    if word.isdecimal():
        return int(word)
    begin, *path = word.split(".")
    if begin and begin not in names:
        raise _unknown(word)
    value = names[begin] if begin else dot
    for field in filter(None, path):
        if not isinstance(value, Mapping) or field not in value:
            raise _unknown(word)
        value = value[field]
    return value


FUNCTIONS: Mapping[str, Callable[[list[Any]], Any]] = {
    "eq": lambda found: any(found[0] == other for other in found[1:]),
    "ne": lambda found: found[0] != found[1],
    "and": lambda found: next((value for value in found if not value), found[-1]),
    "or": lambda found: next((value for value in found if value), found[-1]),
    "not": lambda found: not found[0],
    "len": lambda found: len(found[0]),
    "slice": lambda found: found[0][slice(*(found[1:] if found[2:] else (*found[1:], None)))],
    "index": lambda found: found[0][found[1]],
}


def _unknown(what: str) -> ModelError:
    return ModelError(
        f"the template of a Modelfile has {what!r}, which is not known here.",
        fix="Use the constructs of the template that fucina export writes.",
    )
