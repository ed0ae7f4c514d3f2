"""Style drift: answers written otherwise than the others, alone, along the file, or in test."""

import re
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from fucina.data.audit.subject import Answer, Subject, answers, brief, prose, shown
from fucina.metrics import sentences, words
from fucina.records import Finding

__all__ = ["FEATURES", "check", "features"]

FEW = 30  # answers, below which nothing is usual
FAR = 6.0  # robust standard deviations, on a logarithmic scale
MINORITY = 0.3  # of the answers: more than that is a second style, not an odd one
EFFECT = 0.3  # Cliff's delta: how much likelier one side has more than the other than less
P_VALUE = 1e-4  # of the rank test; there are some forty of them
PARTS = 3  # of the file, that are compared with the rest

PICTURES = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]")
MARKUP = re.compile(r"^\s*(?:[-*•]\s|\d+[.)]\s|#{1,6}\s|\|)|\*\*\S|```", re.MULTILINE)
FORMAL = re.compile(
    r"\b(?:Lei|Suo|Sua|Suoi|Sue|La (?:ringrazi|preg|inform|invit)\w*|Gentile|Egregi\w+|"
    r"(?:[Mm]i |[Cc]i )?(?:[Ss]cusi|[Dd]ica|[Gg]uardi|[Aa]ttenda|[Pp]rovi|[Vv]erifichi|[Cc]ontatti|"
    r"[Cc]onsulti))\b"
)
INFORMAL = re.compile(
    r"\b(?:tu|ti|te|tuo|tua|tuoi|tue|hai|sei|puoi|devi|vuoi|scusa|dimmi|guarda|aspetta|prova)\b",
    re.IGNORECASE,
)
CONTRACTIONS = re.compile(
    r"\b\w+(?:n['’]t|['’](?:re|ve|ll|m|d))\b|\b(?:it|that|he|she|there|what)['’]s\b", re.IGNORECASE
)


def _per_word(pattern: re.Pattern[str]) -> Callable[[str, int, int], float]:
    return lambda text, words, _parts: 100 * len(pattern.findall(text)) / words


# Name in the plural, as in "31 words a sentence" → its value of a text, its words and sentences.
FEATURES: dict[str, Callable[[str, int, int], float]] = {
    "words a sentence": lambda _text, words, parts: words / parts,
    "words": lambda _text, words, _parts: float(words),
    "commas in 100 words": lambda text, words, _parts: 100 * text.count(",") / words,
    "exclamation marks a sentence": lambda text, _words, parts: (
        len(re.findall(r"!(?![=\w])", text)) / parts  # != is no exclamation
    ),
    "questions a sentence": lambda text, _words, parts: text.count("?") / parts,
    "emoji in 100 words": _per_word(PICTURES),
    "% of the letters capital": lambda text, _words, _parts: 100 * _capitals(text),
    "% of the lines list or markup": lambda text, _words, _parts: (
        100 * len(MARKUP.findall(text)) / (text.count("\n") + 1)
    ),
    "digits in 100 words": _per_word(re.compile(r"\d")),
    "contractions in 100 words": _per_word(CONTRACTIONS),
    "formal Italian address in 100 words": _per_word(FORMAL),
    "informal Italian address in 100 words": _per_word(INFORMAL),
}
# Far out in one of these, an answer is odd in any set; the others are a matter of its topic.
ODD = (
    "words a sentence", "exclamation marks a sentence", "emoji in 100 words",
    "% of the letters capital",
)  # fmt: skip
LEAST = {"words a sentence": 12.0, "exclamation marks a sentence": 0.75,
         "emoji in 100 words": 2.0, "% of the letters capital": 40.0}  # fmt: skip
ODD_WORDS = 4  # a shout of two words is no style


def check(subject: Subject) -> list[Finding]:
    """Compare answers with each other, parts of the file with the rest, and test with train."""
    said = [answer for answer in answers(subject.train) if answer.text.strip()]
    if len(said) < FEW:
        return []
    table = features([answer.text for answer in said])
    worded = np.mean([prose(answer.text) for answer in said]) >= 0.5
    # Of code, capitals and exclamation marks say nothing.
    odd = [*_odd(said, table), *_address(said, table)] if worded else []
    found = [*odd, *_along(said, table)]
    for rows in subject.sides[1:]:
        other = [answer for answer in answers(rows) if answer.text.strip()]
        if len(other) < FEW:
            continue
        shifts = _shifts(features([answer.text for answer in other]), table, tests=1)
        if shifts:
            found.append(
                Finding(
                    "style_split", "warning",
                    f"answers of {rows.name} are written otherwise than those of train: "
                    f"{'; '.join(what for _, what in shifts)}.",
                    "Divide the rows by chance, or judge by rows that are written as in use.",
                )
            )  # fmt: skip
    return found


def features(texts: Sequence[str]) -> np.ndarray:
    """The style of n texts, n x 12, in the order of FEATURES.

    Example:
        >>> style = features(["Sì! Subito!", "Il mare è calmo, e domani lo sarà di più."])
        >>> style[:, :4].round(1).tolist()
        [[1.0, 2.0, 0.0, 1.0], [10.0, 10.0, 10.0, 0.0]]
    """
    table = np.zeros((len(texts), len(FEATURES)))
    for row, text in enumerate(texts):
        count, parts = max(len(words(text)), 1), max(len(sentences(text)), 1)
        table[row] = [measure(text, count, parts) for measure in FEATURES.values()]
    return table


def _capitals(text: str) -> float:
    letters = sum(map(str.isalpha, text))
    return sum(map(str.isupper, text)) / letters if letters else 0.0


def _odd(said: Sequence[Answer], table: np.ndarray) -> list[Finding]:
    """Answers far from the others in something that a reader sees at once."""
    names = list(FEATURES)
    reasons: dict[int, tuple[float, str]] = {}
    long = table[:, names.index("words")] >= ODD_WORDS
    for name in ODD:
        values = table[:, names.index(name)]
        logs = np.log1p(values)
        middle = float(np.median(logs))
        # Of a normal distribution 1.4826 times the median deviation is the standard deviation.
        spread = max(1.4826 * float(np.median(np.abs(logs - middle))), 0.1)
        z = (logs - middle) / spread
        usual = float(np.expm1(middle))
        far = np.flatnonzero((z >= FAR) & (values >= LEAST[name]) & (values >= 2 * usual) & long)
        if len(far) > MINORITY * len(said):
            continue
        for row in map(int, far):
            told = f"{values[row]:.0f} {name} where {usual:.0f} are usual"
            if values[row] < 10:
                told = f"{values[row]:.1f} {name} where {usual:.1f} are usual"
            if row not in reasons or z[row] > reasons[row][0]:
                reasons[row] = (float(z[row]), told)
    order = sorted(reasons, key=lambda row: -reasons[row][0])
    if not order:
        return []
    origins = tuple(said[row].origin for row in order)
    return [
        Finding(
            "style", "warning" if len(order) > 0.02 * len(said) else "note",
            f"{len(order):,} of {len(said):,} answers are written otherwise than the rest; the "
            f"farthest has {reasons[order[0]][1]} ({shown(origins)}).",
            "Write them again in the manner of the others, or leave them out.",
            origins,
            tuple(f"{said[r].where}{reasons[r][1]}: {brief(said[r].text)}" for r in order),
        )
    ]  # fmt: skip


def _address(said: Sequence[Answer], table: np.ndarray) -> list[Finding]:
    """Some answers say tu to the user and some Lei."""
    names = list(FEATURES)
    formal = table[:, names.index("formal Italian address in 100 words")] > 0
    informal = table[:, names.index("informal Italian address in 100 words")] > 0
    only_formal, only_informal = formal & ~informal, informal & ~formal
    few, many, told = only_formal, only_informal, ("Lei", "tu")
    if few.sum() > many.sum():
        few, many, told = many, few, ("tu", "Lei")
    # Without Italian answers a few words look like it by chance; then neither is common.
    if few.sum() < 3 or many.sum() < 0.2 * len(said) or few.sum() > 0.7 * many.sum():
        return []
    rows = [int(row) for row in np.flatnonzero(few)]
    origins = tuple(said[row].origin for row in rows)
    return [
        Finding(
            "style_address", "warning",
            f"{few.sum():,} answers say {told[0]} to the user where {many.sum():,} say {told[1]} "
            f"({shown(origins)}).",
            "Choose one and write the others again.",
            origins, tuple(f"{said[row].where}{brief(said[row].text)}" for row in rows),
        )
    ]  # fmt: skip


def _along(said: Sequence[Answer], table: np.ndarray) -> list[Finding]:
    """Each third of the file against the rest: rows in random order do not differ."""
    if len(said) < PARTS * FEW:
        return []
    thirds = np.array_split(np.arange(len(said)), PARTS)
    shifts = {
        name: (part, found)
        for name, part in zip(("first", "middle", "last"), thirds, strict=True)
        if (found := _shifts(table[part], np.delete(table, part, axis=0), tests=PARTS))
    }
    if not shifts:
        return []
    # If one third differs from the rest the others do too, by less.
    name, (part, told) = max(shifts.items(), key=lambda item: item[1][1][0][0])
    begin, end = said[part[0]].origin, said[part[-1]].origin
    return [
        Finding(
            "style_drift", "warning",
            f"the {name} third of train ({begin} to {end}) is written otherwise than the "
            f"rest: {'; '.join(what for _, what in told)}.",
            "Look whether two sources or two writers were put together; choose one manner, "
            "and let test rows come from all parts.",
        )
    ]  # fmt: skip


def _shifts(part: np.ndarray, rest: np.ndarray, *, tests: int) -> list[tuple[float, str]]:
    """What differs by the Mann-Whitney test and by enough, in words, the largest first."""
    found = []
    for column, name in enumerate(FEATURES):
        one, other = part[:, column], rest[:, column]
        if (one == one[0]).all() and (other == one[0]).all():
            continue
        test = stats.mannwhitneyu(one, other, method="asymptotic")
        delta = 2 * test.statistic / (len(one) * len(other)) - 1
        if abs(delta) >= EFFECT and test.pvalue < P_VALUE / tests:
            told = (
                f"{one.mean():.1f} {name} against {other.mean():.1f} (Cliff's delta {delta:+.2f})"
            )
            found.append((abs(delta), told))
    return sorted(found, reverse=True)
