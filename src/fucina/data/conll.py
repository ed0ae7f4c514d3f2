"""Read files with a word a line and its tag, as CoNLL, KIND and WNUT write them."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fucina.data.text import lines
from fucina.errors import DataError
from fucina.records import Finding

__all__ = ["read_conll", "tagged"]

PREFIXED = re.compile(r"([BIESLU])[-_](.+)")
BEGINS, ENDS = "BSU", "ESLU"  # of IOBES and BILOU too
SHOWN = 5

Line = tuple[int, str, str]  # number, word, tag
Row = tuple[int, dict[str, Any]]


def tagged(line: str) -> bool:
    """Whether a line is a word and a tag, not the header of a table.

    Example:
        >>> tagged("Roma B-LOC"), tagged("text label")
        (True, False)
    """
    fields = line.split()
    return len(fields) > 1 and (fields[-1] == "O" or PREFIXED.fullmatch(fields[-1]) is not None)


def read_conll(path: Path, encoding: str) -> tuple[list[Row], tuple[Finding, ...]]:
    """The sentences of a file as texts with spans; words are joined by spaces.

    The word is the first field of a line and the tag the last, apart by tabs or spaces; sentences
    by blank lines or -DOCSTART-. Tags are BIO (IOB1 or IOB2), IOBES, BILOU, or bare types such as
    PER, of which words in a row make one span. Lines that begin with # and end without a tag are
    comments.

    Returns:
        Rows by the number of their first line; and the sequences that BIO does not allow, which
        are read as conlleval reads them: an I that follows nothing of its type begins a span.

    Raises:
        DataError: A line has no tag, or one without a type, or with several.
    """
    sentences = list(_sentences(path, encoding))
    tags = Counter(tag for sentence in sentences for _, _, tag in sentence)
    bare = not any(PREFIXED.fullmatch(tag) for tag in tags)
    begun = any(
        tag.startswith("B") and before[2:] != tag[2:]  # in IOB1 a B only parts two of one type
        for sentence in sentences
        for before, tag in _pairs(sentence)
    )
    rows: list[Row] = []
    odd: list[Line] = []
    for sentence in sentences:
        spans: list[dict[str, Any]] = []
        words: list[str] = []
        place, before = 0, "O"
        for number, word, tag in sentence:
            part, kind = _parts(path, number, tag, bare=bare)
            goes_on = kind and _goes_on(before, tag, bare=bare)
            if kind and goes_on:
                spans[-1]["end"] = place + len(word)
            elif kind:
                spans.append({"start": place, "end": place + len(word), "label": kind})
                if part not in BEGINS and not bare and begun:
                    odd.append((number, word, tag))
            words.append(word)
            place += len(word) + 1
            before = tag
        rows.append((sentence[0][0], {"text": " ".join(words), "spans": spans}))
    return rows, _told(path, odd)


def _sentences(path: Path, encoding: str) -> Iterator[list[Line]]:
    sentence: list[Line] = []
    for number, line in enumerate(lines(path, encoding), start=1):
        fields = line.split("\t") if "\t" in line.strip() else line.split()
        fields = [field.strip() for field in fields]
        comment = line.startswith("#") and not tagged(line)
        if not line.strip() or fields[0] == "-DOCSTART-" or comment:
            if sentence and not comment:
                yield sentence
                sentence = []
            continue
        if len(fields) < 2 or not fields[-1]:
            raise DataError(
                f"{path}, line {number}: {line.strip()[:60]!r} is one field where a word and its "
                "tag were expected.",
                fix="Write a word and its tag a line, apart by a tab or spaces.",
            )
        if fields[0]:  # a few files have tags of words that are nothing but a space
            sentence.append((number, fields[0], fields[-1]))
    if sentence:
        yield sentence


def _pairs(sentence: list[Line]) -> Iterator[tuple[str, str]]:
    before = "O"
    for _, _, tag in sentence:
        yield before, tag
        before = tag


def _goes_on(before: str, tag: str, *, bare: bool = False) -> bool:
    """Whether the span of the word before has this word too."""
    if bare:
        return before == tag
    one, two = PREFIXED.fullmatch(before), PREFIXED.fullmatch(tag)
    if one is None or two is None or one[2] != two[2]:
        return False
    return two[1] not in BEGINS and one[1] not in ENDS


def _parts(path: Path, number: int, tag: str, *, bare: bool) -> tuple[str, str]:
    """The part of a span that a word is, and the type; both empty outside."""
    if tag == "O":
        return "", ""
    match = PREFIXED.fullmatch(tag)
    named = match[2] if match else tag
    if "," in named or "|" in named:
        raise DataError(
            f"{path}, line {number}: several tags in one field: {tag!r}.",
            fix="Keep one tag a word: spans that lie in others cannot be learnt.",
        )
    if match:
        return match[1], match[2]
    if bare and not re.fullmatch(r"[BIESLU][-_]?", tag):
        return "I", tag
    what = "has no type" if re.fullmatch(r"[BIESLU][-_]?", tag) else "is no tag of this file"
    raise DataError(
        f"{path}, line {number}: {tag!r} {what}.",
        fix="Write O, B-PER, I-PER (or IOBES, BILOU); or bare types such as PER in all lines.",
    )


def _told(path: Path, odd: list[Line]) -> tuple[Finding, ...]:
    if not odd:
        return ()
    named = ", ".join(f"line {number}: {word} {tag}" for number, word, tag in odd[:SHOWN])
    more = f" and {len(odd) - SHOWN} more" if len(odd) > SHOWN else ""
    return (
        Finding(
            "tag_sequence", "warning",
            f"{path.name}: {len(odd)} tag(s) go on with a span that nothing has begun "
            f"({named}{more}); each is read as a beginning.",
            "Write B- there, if that is what is meant.",
            tuple(f"{path.name}:{number}" for number, _, _ in odd),
            tuple(f"{word} {tag}" for _, word, tag in odd),
        ),
    )  # fmt: skip
