"""May a new row join the rows of train: the checks of the audit, for one row at a time."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fucina.data.audit import answers, cut_answers, encoding, language, length, personal, spans
from fucina.data.audit.duplicates import same_text
from fucina.data.audit.subject import Answer, Subject, prose, turns
from fucina.data.audit.subject import answers as answers_of
from fucina.data.known import Known
from fucina.metrics import broken
from fucina.records import Dataset, Example

__all__ = ["Admission", "HeldOut", "presentable"]


class HeldOut:
    """Remembers the rows of validation and test, and finds the one that a row gives away.

    A row that answers with text gives one away by its question, or by an answer in so many words
    that nobody writes it twice by chance.

    Args:
        subject: The rows of a recipe.

    Example:
        >>> row = Example("Com'è il mare?", "Grosso, figliolo: resta a terra.", origin="test.csv:2")
        >>> test = Dataset("test", (row,))
        >>> held_out = HeldOut(Subject(Dataset("train", ()), test=test, answer="text"))
        >>> held_out.find(Example("Si esce?", "Grosso, figliolo! Resta a terra.")).origin
        'test.csv:2'
    """

    def __init__(self, subject: Subject) -> None:
        rows = [row for side in subject.sides[1:] for row in side.examples]
        # Spans in words say nothing that the question does not.
        texts = [row for row in rows if subject.answer == "text" and not row.spans]
        told = [row for row in texts if answers.telling(row.target)]
        self._asked = Known(rows)
        self._answered = Known(replace(row, prompt=row.target) for row in told)

    def find(self, row: Example) -> Example | None:
        """The held-out row that says nearly the same, by its origin; None without one."""
        same = self._asked.find(row.prompt)
        if same is None and answers.telling(row.target):
            same = self._answered.find(row.target)
        return same


class Admission:
    """Remembers what train is like and which rows are there, and says why a row may not join.

    Args:
        subject: The rows of the recipe.
        known: Rows that were offered before.

    Raises:
        MissingExtraError: A library of a check is not installed.
    """

    def __init__(self, subject: Subject, known: Iterable[Example] = ()) -> None:
        self._text = subject.answer == "text"
        self._rules = subject.rules
        self._held_out = HeldOut(subject)
        self._train = Known(subject.train.examples)
        self._offered = Known()
        self._answers: Counter[str] = Counter(map(same_text, subject.train.targets))
        self._names = spans.marked_names(subject.train.examples)
        self._usual = {"": _usual(subject.train.prompts)}
        if self._text:
            self._usual |= {"question": self._usual[""], "answer": _usual(subject.train.targets)}
            self._manner = _manner(subject.train)
        for example in known:
            self.add(example)

    def refusal(self, example: Example) -> str:
        """Why a row may not join, what kind of reason first; empty if it may."""
        return next(self._reasons(example), "")

    def add(self, example: Example) -> None:
        """Remember a row that was offered, accepted or not: the next one must differ from it."""
        self._offered.add(example)
        self._answers[same_text(example.target)] += 1

    def _reasons(self, example: Example) -> Iterator[str]:
        parts = {"": example.prompt}
        if self._text:
            parts = {"question": example.prompt, "answer": example.target}
        yield from (f"empty: no {name}" for name, text in parts.items() if not text.strip())
        for text in parts.values():
            if encoding.LOST in text or encoding.mend(text) != text:
                yield "broken letters"
        private = [kind for text in parts.values() for kind, _ in personal.find(text)]
        if private:
            yield f"personal data: {', '.join(dict.fromkeys(private))}"
        for name, same in (
            ("nearly held out", self._held_out.find(example)),
            ("nearly in train", self._train.find(example.prompt)),
            ("nearly a repetition", self._offered.find(example.prompt)),
        ):
            if same is not None:
                yield f"{name}: {same.origin}"
        yield from (f"not marked: {told}" for told in spans.unmarked(example, self._names))
        for name, text in parts.items():
            yield from self._usual[name].odd(name, text)
        if self._text:
            yield from self._faults(example)

    def _faults(self, example: Example) -> Iterator[str]:
        """What the checks of answers say."""
        for answer in answers_of(Dataset("", (example,))):
            for kind, seen in self._manner.faults(answer).items():
                if kind not in self._manner.common:
                    yield f"{kind.replace('_', ' ')}: {seen}"
            for rule, seen in broken(
                self._rules, answer.question, answer.text, guess_language=language.guess
            ):
                yield f"broken rule: {rule} ({seen})"
        told = self._answers[same_text(example.target)]
        if told + 1 >= answers.REPEATED and answers.telling(example.target):
            yield f"boilerplate: the answer of {told} other questions"


@dataclass(frozen=True)
class _Usual:
    """The languages and lengths of texts."""

    languages: Sequence[str]
    shortest: float
    longest: float

    def odd(self, name: str, text: str) -> Iterator[str]:
        spoken = language.guess(text) if prose(text) else ""
        if spoken and self.languages and spoken not in self.languages:
            yield f"another language: {f'{name} in ' * bool(name)}{spoken}"
        if not self.shortest <= len(text) <= self.longest:
            yield f"unusual length: {f'{name} of ' * bool(name)}{len(text)} characters"


def _usual(texts: Sequence[str]) -> _Usual:
    spoken = Counter(filter(None, (language.guess(text) for text in texts if prose(text))))
    return _Usual(language.usual(spoken), *length.usual_length(texts))


@dataclass(frozen=True)
class _Manner:
    """How the answers of train are: what many of them have is no fault."""

    usual: set[str]
    mostly_closed: bool
    common: frozenset[str] = frozenset()

    def faults(self, answer: Answer) -> dict[str, str]:
        """Kind to what was seen."""
        cut = cut_answers.looks_cut(answer.text, mostly_closed=self.mostly_closed)
        return answers.faults(answer, self.usual) | ({"cut_answer": cut} if cut else {})


def _manner(train: Dataset) -> _Manner:
    said = [answer for answer in answers_of(train) if answer.text.strip()]
    closed = cut_answers.mostly_closed([answer.text for answer in said])
    manner = _Manner(answers.usual(said), closed)
    counts = Counter(kind for answer in said for kind in manner.faults(answer))
    many = {kind for kind, count in counts.items() if count > answers.WORTH_SAYING * len(said)}
    return replace(manner, common=frozenset(many))


def presentable(subject: Subject) -> Dataset:
    """The rows of train that may be shown to others: no held-out row in other words, nobody's data.

    Example:
        >>> train = (Example("ciao mamma", "a"), Example("scrivi a io@casa.it", "a"))
        >>> test = Dataset("test", (Example("Ciao, mamma!", "a"),))
        >>> presentable(Subject(Dataset("train", train), test=test)).prompts
        []
    """
    held_out = HeldOut(subject)
    kept = [
        row
        for row, example in enumerate(subject.train.examples)
        if held_out.find(example) is None
        and not any(personal.find(turn.text) for turn in turns(example, subject.answer))
    ]
    return subject.train.take(kept)
