"""Tokens as they are written, turned into pieces of text: whole characters, cut at a stop."""

import codecs
from collections.abc import Mapping, Sequence

from fucina.engines.interface import Piece

__all__ = ["Spelling"]

Top = Mapping[str, float]


class Spelling:
    r"""Remembers what was written and not yet shown.

    Half a character waits for its other half, and what may become a stop for what follows it.

    Args:
        stops: Texts that end the answer.
        strip: Leave out blanks at both ends of the answer.

    Attributes:
        over: A stop was written.

    Example:
        >>> spelling = Spelling(["\n\n"], strip=True)
        >>> [spelling.add(part).text for part in (b" citt\xc3", b"\xa0", b"\n", b"\nno")]
        ['citt', 'à', '', '']
        >>> spelling.over
        True
    """

    def __init__(self, stops: Sequence[str] = (), *, strip: bool = False) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._strip = strip
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._held = ""
        self._begun = not strip
        self._tokens = 0
        self._logprobs: list[tuple[str, float]] = []
        self._top: list[Top] = []
        self.over = False

    def add(
        self, written: bytes, logprob: tuple[str, float] | None = None, top: Top | None = None
    ) -> Piece:
        """Take in a token, and give what may be shown by now.

        Args:
            written: What the token writes.
            logprob: The token as text, and how likely it was.
            top: Others, and how likely they were.
        """
        self._tokens += 1
        self._logprobs += [] if logprob is None else [logprob]
        self._top += [] if top is None else [top]
        self._held += self._decode(written)
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if places:
            self._held, self.over = self._held[: min(places)], True
            return self._show(len(self._held))
        return self._show(len(self._held) - self._waiting())

    def finish(self) -> Piece:
        """Give what was held back."""
        if not self.over:
            self._held += self._decode(b"", True)
        return self._show(len(self._held), last=True)

    def _waiting(self) -> int:
        """How many letters at the end may become a stop."""
        longest = 0
        for stop in self._stops:
            for length in range(min(len(stop) - 1, len(self._held)), longest, -1):
                if self._held.endswith(stop[:length]):
                    longest = length
                    break
        return longest

    def _show(self, length: int, *, last: bool = False) -> Piece:
        text, self._held = self._held[:length], self._held[length:]
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        if self._strip:
            bare = text.rstrip()
            # Blanks at the end are shown once something follows them.
            self._held = ("" if last or self.over else text[len(bare) :]) + self._held
            text = bare
        if not text and not last:
            return Piece("")
        piece = Piece(text, self._tokens, tuple(self._logprobs), tuple(self._top))
        self._tokens, self._logprobs, self._top = 0, [], []
        return piece
