"""Tokens as text while they are written: whole characters, and nothing behind a stop."""

from collections.abc import Callable, Sequence

__all__ = ["Spelling"]

HALF = "\ufffd"  # what a tokenizer makes of the bytes of a character that is not whole yet
RECENT = 8  # tokens decoded again with each new one, as a token may be written with a blank or not


class Spelling:
    r"""Remembers the tokens of an answer, and gives its text piece by piece.

    What may be the beginning of a stop is kept back until it is known, and so are blanks at the
    end, which are no part of an answer where it is over.

    Args:
        decode: Tokens to text, without special ones.
        stop: Texts that end the answer, and are no part of it.
        strip: Blanks at the beginning and the end are no part of the answer either.

    Example:
        >>> words = ["Il", " pac", "co", " è", "\n", "###", " no"]
        >>> spelling = Spelling(lambda ids: "".join(words[i] for i in ids), ["\n##"], strip=True)
        >>> [spelling.push(number) for number in range(6)], spelling.stopped
        (['Il', ' pac', 'co', ' è', '', ''], True)
    """

    def __init__(
        self, decode: Callable[[list[int]], str], stop: Sequence[str] = (), *, strip: bool = False
    ) -> None:
        self._decode, self._stop, self._strip = decode, [text for text in stop if text], strip
        self._tokens: list[int] = []
        self._settled = 0  # tokens whose text is in `_whole` for good
        self._whole = ""
        self._given = 0
        self.stopped = False

    def push(self, token: int) -> str:
        """Take a token; what can be given now of the text, which may be nothing."""
        self._tokens.append(token)
        return self._give(self._text(), last=False)

    def finish(self) -> str:
        """What was kept back, where the answer is over."""
        return "" if self.stopped else self._give(self._text(), last=True)

    def _text(self) -> str:
        """The whole text; only the newest tokens are decoded."""
        start = max(0, self._settled - RECENT)
        recent = self._decode(self._tokens[start:])
        before = self._decode(self._tokens[start : self._settled]) if self._settled else ""
        text = self._whole + recent.removeprefix(before)
        if not recent.endswith(HALF) and recent.startswith(before):
            self._whole, self._settled = text, len(self._tokens)
        return text

    def _give(self, text: str, *, last: bool) -> str:
        found = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if found:
            self.stopped, text, last = True, text[: min(found)], True
        if self._strip:
            text = text.lstrip()
        end = len(text) if last else len(text) - self._open(text)
        if self._strip:
            end = len(text[:end].rstrip())
        new, self._given = text[self._given : end], max(self._given, end)
        return new

    def _open(self, text: str) -> int:
        """How many characters at the end are not settled."""
        half = len(text) - len(text.rstrip(HALF))
        begun = [
            size
            for stop in self._stop
            for size in range(1, min(len(stop), len(text)) + 1)
            if text.endswith(stop[:size])
        ]
        return max([half, *begun])
