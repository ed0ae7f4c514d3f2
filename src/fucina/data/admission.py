"""May a new text join the rows of train: the checks of the audit, for one text at a time."""

from collections import Counter
from collections.abc import Iterable

from fucina.data.audit import encoding, language, length, personal
from fucina.data.audit.subject import Subject
from fucina.data.known import Known
from fucina.records import Dataset, Example

__all__ = ["Admission", "presentable"]


class Admission:
    """Remembers what train is like and which texts are there, and says why a text may not join.

    Args:
        subject: The rows of the recipe.
        known: Texts that were offered before.

    Raises:
        MissingExtraError: A library of a check is not installed.
    """

    def __init__(self, subject: Subject, known: Iterable[Example] = ()) -> None:
        self._held_out = Known(row for rows in subject.sides[1:] for row in rows.examples)
        self._train = Known(subject.train.examples)
        self._offered = Known(known)
        spoken = Counter(filter(None, map(language.guess, subject.train.prompts)))
        self._languages = language.usual(spoken)
        self._shortest, self._longest = length.usual_length(subject.train.prompts)

    def refusal(self, text: str) -> str:
        """Why a text may not join, what kind of reason first; empty if it may."""
        if encoding.LOST in text or encoding.mend(text) != text:
            return "broken letters"
        private = [kind for kind, _ in personal.find(text)]
        if private:
            return f"personal data: {', '.join(dict.fromkeys(private))}"
        for name, rows in (
            ("nearly held out", self._held_out),
            ("nearly in train", self._train),
            ("nearly a repetition", self._offered),
        ):
            same = rows.find(text)
            if same is not None:
                return f"{name}: {same.origin}"
        spoken = language.guess(text)
        if spoken and self._languages and spoken not in self._languages:
            return f"another language: {spoken}"
        if not self._shortest <= len(text) <= self._longest:
            return f"unusual length: {len(text)} characters"
        return ""

    def add(self, example: Example) -> None:
        """Remember a text that was offered, accepted or not: the next one must differ from it."""
        self._offered.add(example)


def presentable(subject: Subject) -> Dataset:
    """The rows of train that may be shown to others: no held-out row in other words, nobody's data.

    Example:
        >>> train = (Example("ciao mamma", "a"), Example("scrivi a io@casa.it", "a"))
        >>> test = Dataset("test", (Example("Ciao, mamma!", "a"),))
        >>> presentable(Subject(Dataset("train", train), test=test)).prompts
        []
    """
    held_out = Known(row for rows in subject.sides[1:] for row in rows.examples)
    kept = [
        row
        for row, example in enumerate(subject.train.examples)
        if held_out.find(example.prompt) is None and not personal.find(example.prompt)
    ]
    return subject.train.take(kept)
