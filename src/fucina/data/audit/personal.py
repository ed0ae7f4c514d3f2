"""Personal data and secrets: what a trained model could repeat to anybody."""

import re
from collections.abc import Callable

from fucina.data.audit.subject import Subject, shown, turns
from fucina.records import Example, Finding

__all__ = ["check", "find"]


def check(subject: Subject) -> list[Finding]:
    """Look at the texts of all files; numbers with a check digit must have it right."""
    found = []
    for rows in subject.sides:
        seen: dict[str, dict[str, str]] = {}
        for example in rows.examples:
            for where, text in _texts(example, subject.answer):
                for kind, value in find(text):
                    seen.setdefault(kind, {})[example.origin] = f"{where}{_hidden(value)}"
        secret = {kind: hits for kind, hits in seen.items() if kind in SECRETS}
        personal = {kind: hits for kind, hits in seen.items() if kind not in SECRETS}
        if secret:
            fix = "Take them out, and revoke them: they have been copied."
            found.append(Finding("secret", "error", *_told(rows.name, secret, fix)))
        if personal:
            fix = "Replace them by invented ones, unless you may train on them."
            found.append(Finding("personal_data", "warning", *_told(rows.name, personal, fix)))
    return found


def _texts(example: Example, answer: str) -> list[tuple[str, str]]:
    if answer != "text":
        own = f" {example.target}" if answer == "label" else ""  # spans are of the text itself
        return [("", f"{example.prompt}{own}")]
    return [(f"{turn.where}: ", turn.text) for turn in turns(example, answer)]


def _told(
    name: str, kinds: dict[str, dict[str, str]], fix: str
) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    counted = shown([f"{kind} ({len(hits)})" for kind, hits in kinds.items()])
    hits = [(row, f"{kind}: {v}") for kind, own in kinds.items() for row, v in own.items()]
    origins = tuple(dict.fromkeys(row for row, _ in hits))
    message = f"{name} holds {counted} in {len(origins)} row(s) ({shown(origins)})."
    return message, fix, tuple(row for row, _ in hits), tuple(what for _, what in hits)


def find(text: str) -> list[tuple[str, str]]:
    """Kind and value of each piece of personal data or secret in a text.

    Example:
        >>> find("scrivi a mario.rossi@posta.it, IBAN IT60X0542811101000000123456")
        [('e-mail', 'mario.rossi@posta.it'), ('IBAN', 'IT60X0542811101000000123456')]
    """
    if not MAYBE.search(text):
        return []
    hits = []
    for kind, pattern, valid in KINDS:
        for match in pattern.finditer(text):
            value = match.group()
            if valid(value):
                hits.append((kind, value))
                text = text.replace(value, " ")  # an IBAN must not be found again as a phone
    return hits


def _hidden(value: str) -> str:
    """Enough to find it again, not enough to use it: reports are passed on."""
    return f"{value[:3]}…{value[-2:]}" if len(value) > 6 else "…"


def _iban(value: str) -> bool:
    """ISO 13616: moved country code, letters as numbers, remainder 1 modulo 97."""
    plain = value.replace(" ", "").upper()
    moved = plain[4:] + plain[:4]
    return int("".join(str(int(letter, 36)) for letter in moved)) % 97 == 1


def _card(value: str) -> bool:
    """Luhn: every second digit doubled, digit sums, divisible by 10."""
    digits = [int(letter) for letter in value if letter.isdigit()][::-1]
    doubled = [d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits)]
    return 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0 and len(set(digits)) > 1


# What a letter counts for at an odd place of a codice fiscale; a digit counts as the letter of its
# number (0 as A).
ODD = (
    1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
)  # fmt: skip


def _number(letter: str) -> int:
    return int(letter) if letter.isdigit() else ord(letter) - ord("A")


def _fiscal_code(value: str) -> bool:
    """Italian codice fiscale: the last letter is a check sum of the fifteen before (DM 1976)."""
    code = value.upper()
    odd = sum(ODD[_number(letter)] for letter in code[:15:2])
    even = sum(_number(letter) for letter in code[1:15:2])
    return chr(ord("A") + (odd + even) % 26) == code[15]


def _phone(value: str) -> bool:
    """A number as people write telephone numbers; runs of digits alone are order numbers."""
    digits = re.sub(r"\D", "", value)
    spaced = value.startswith(("+", "00")) or re.search(r"\d[ ./-]\d", value) is not None
    mobile = re.fullmatch(r"3[2-9]\d{8}", digits) is not None  # Italian mobile numbers
    return 9 <= len(digits) <= 15 and (mobile or spaced)


def _any(_: str) -> bool:
    return True


Valid = Callable[[str], bool]
KINDS: tuple[tuple[str, re.Pattern[str], Valid], ...] = (
    ("private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"), _any),
    ("access token", re.compile(
        r"\b(?:sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{36}|hf_[A-Za-z0-9]{30,}|AKIA[A-Z0-9]{16}|"
        r"xox[abpr]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35}|"
        r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})"), _any),
    ("password", re.compile(r"(?i)\b(?:password|passwd|pwd)\s*[:=]\s*\S{6,}"), _any),
    ("e-mail", re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b"), _any),
    ("IBAN", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b"), _iban),
    ("fiscal code", re.compile(
        r"(?i)\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b"), _fiscal_code),
    ("card number", re.compile(r"\b\d(?:[ -]?\d){12,18}\b"), _card),
    ("phone", re.compile(r"(?<![\w+.,/-])(?:\+|00)?\d[\d ./-]{7,17}\d(?![\w/-])"), _phone),
)  # fmt: skip
SECRETS = {"private key", "access token", "password"}
# Nearly all texts have none of these and need no closer look.
MAYBE = re.compile(
    r"@|\d[ .\d/-]{7}|-----BEGIN|\d{2}[A-Za-z]\d{2}|[A-Za-z]{2}\d{2}|sk-|gh[pousr]_|hf_|AKIA|xox"
    r"|AIza|eyJ|(?i:passw|pwd)"
)
