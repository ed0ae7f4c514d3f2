"""What a model behind an endpoint said, so that the same question is not paid twice."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import run
from fucina.endpoint import Reply
from fucina.records import Message

if TYPE_CHECKING:
    from fucina.config import ContenderConfig
    from fucina.speaking import Speaker

__all__ = ["Ask", "Replies"]

Ask = Callable[[Sequence[Sequence[Message]]], list[Reply]]


class Replies:
    """Remembers replies in a file of JSON lines.

    Args:
        path: Of the file, which need not be there.
        max_new_tokens: Of an answer at most; another number is another question.
    """

    def __init__(self, path: Path, max_new_tokens: int) -> None:
        self._path, self._most = path, max_new_tokens
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self._known: dict[str, Reply] = {}
        for line in lines:
            with suppress(ValueError):  # a killed process leaves a torn last line
                row = json.loads(line)
                asked = row.pop("asked")
                self._known[asked] = Reply(**row)

    def asking(self, speaker: "Speaker", model: "ContenderConfig") -> Ask:
        """A function that asks a model what it was not asked before; models here are asked anew."""
        if model.url is None:
            return speaker.answer

        def ask(conversations: Sequence[Sequence[Message]]) -> list[Reply]:
            names = [self._name(model, turns) for turns in conversations]
            new = [place for place, name in enumerate(names) if name not in self._known]
            replies = speaker.answer([conversations[place] for place in new]) if new else []
            for place, reply in zip(new, replies, strict=True):
                self._known[names[place]] = reply
            rows = [{"asked": names[place], **asdict(self._known[names[place]])} for place in new]
            if rows:
                lines = [json.dumps(row, ensure_ascii=False) for row in rows]
                run.append_lines(self._path, lines)
            return [self._known[name] for name in names]

        return ask

    def _name(self, model: "ContenderConfig", turns: Sequence[Message]) -> str:
        said = [[turn.role, turn.content] for turn in turns]
        facts = [model.url, model.by, model.protocol, self._most, said]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
