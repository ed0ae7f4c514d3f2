"""What the model will really read: rows as the chat template writes them, learnt tokens marked."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fucina.data.audit.subject import Subject, conversation, shown, turns
from fucina.errors import FucinaError
from fucina.records import Dataset, Example, Finding

if TYPE_CHECKING:
    from fucina.models.pairing import Pairing
    from fucina.models.template import Rendered, Template

__all__ = ["check", "marked"]

ROWS_SHOWN = 3
LONG = 240  # characters of a part that is shown whole
CANDIDATES = (128, 256, 512, 1024, 2048, 4096)
PROBLEMS = {
    "refused": ("error", "the chat template refuses them", "Mend the order of their turns, or "
                "set chat.template: chatml."),
    "nothing_learnt": ("error", "nothing of them is learnt", "Look at chat.template: it must "
                       "write what the assistant says."),
    "end_not_learnt": ("error", "the token that ends their answer is not learnt, so that the "
                       "model would not stop", "Let the template write {end} after each answer."),
    "double_begin": ("error", "they begin with two {begin}", "Take bos_token out of the "
                     "template, or the token out of the texts."),
    "mismatch": ("error", "what the model is given at use is not how they begin in training",
                 "Let the template write the same before an answer with and without "
                 "add_generation_prompt."),
    "unwritable": ("warning", "their answers hold characters that the tokenizer of the base does "
                   "not have, so that no model over it could write them", "Use a base that has "
                   "them (byte-level tokenizers have all), or write the answers without."),
    "control_tokens": ("warning", "special tokens of the model stand in their texts, where they "
                       "end or begin turns", "Take them out, or write them otherwise."),
}  # fmt: skip


@dataclass(frozen=True)
class _Sizes:
    """Tokens of a row: all, and of the last answer with the system's turn before it."""

    whole: int
    answer: int


def check(subject: Subject) -> list[Finding]:
    """Write every row as the template does; without a template there is nothing to see."""
    template = subject.template
    if template is None:
        return []
    found = []
    for rows in subject.sides:
        # Rows without an answer are named by another check.
        usable = [
            example
            for example in rows.examples
            if (last := conversation(example)[-1]).content.strip() or last.tool_calls
        ]
        sizes: dict[str, _Sizes] = {}
        seen: dict[str, list[tuple[str, str]]] = {}
        for example in usable:
            try:
                rendered, asked = template.render(example), template.asked(example)
            except FucinaError as error:
                seen.setdefault("refused", []).append((example.origin, error.problem))
                continue
            for kind, what in _problems(template, example, rendered, asked):
                seen.setdefault(kind, []).append((example.origin, what))
            sizes[example.origin] = _sizes(template, example, rendered)
        found += _told(rows, seen, template)
        if subject.max_length_tokens:
            found += _truncated(rows, sizes, subject.max_length_tokens)
    return [*found, *_sample(subject, template)]


def _problems(
    template: "Template | Pairing", example: Example, rendered: "Rendered", asked: np.ndarray
) -> list[tuple[str, str]]:
    ids, learnt = rendered.ids, rendered.supervised
    found = []
    if not learnt.any():
        found.append(("nothing_learnt", _tail(rendered.text)))
    elif not _all_end(template, rendered):
        found.append(("end_not_learnt", _tail(rendered.text)))
    begin = template.tokenizer.bos_token_id
    if begin is not None and ids[:2].tolist() == [begin, begin]:
        found.append(("double_begin", rendered.text[:60]))
    if len(asked) >= len(ids) or ids[: len(asked)].tolist() != asked.tolist():
        same = int(np.argmin(np.append(ids[: len(asked)] == asked[: len(ids)], False)))
        decode = template.tokenizer.decode
        found.append(
            ("mismatch", f"{decode(asked[same:][:12])!r} at use, {decode(ids[same:][:12])!r} here")
        )
    unknown = template.tokenizer.unk_token_id
    if unknown not in (None, template.end_id) and (ids[learnt] == unknown).any():
        found.append(("unwritable", _tail(example.target)))
    for turn in turns(example, "text"):
        written = template.control_tokens(turn.text)
        if written:
            found.append(("control_tokens", f"{turn.where}: {', '.join(dict.fromkeys(written))}"))
    return found


def _all_end(template: "Template | Pairing", rendered: "Rendered") -> bool:
    """Whether every learnt part ends with a token that ends it."""
    learnt = rendered.supervised
    last = learnt & ~np.append(learnt[1:], False)
    return all(template.ends(rendered.ids[place : place + 1]) for place in np.flatnonzero(last))


def _sizes(template: "Template | Pairing", example: Example, rendered: "Rendered") -> _Sizes:
    """Count; earlier turns may be left out to fit, the system's words and the answer may not."""
    places = np.flatnonzero(rendered.supervised)
    answer = 0
    if len(places):
        before = np.flatnonzero(~rendered.supervised[: places[-1]])
        answer = int(places[-1] - (before[-1] if len(before) else -1))
    if rendered.apart:  # each side has the whole limit
        return _Sizes(max(rendered.apart, len(places)), len(places))
    first = template.conversation(example)[0]
    system = template.tokenizer(first.content)["input_ids"] if first.role == "system" else []
    return _Sizes(len(rendered.ids), answer + len(system))


def _told(
    rows: Dataset, seen: dict[str, list[tuple[str, str]]], template: "Template | Pairing"
) -> list[Finding]:
    found = []
    for kind, (severity, what, fix) in PROBLEMS.items():
        hits = seen.get(kind, [])
        if hits:
            origins = tuple(dict.fromkeys(origin for origin, _ in hits))
            names = {"end": template.end, "begin": template.tokenizer.bos_token}
            found.append(
                Finding(
                    f"template_{kind}", "error" if severity == "error" else "warning",
                    f"{len(origins):,} of {len(rows):,} {rows.name} rows: {what.format(**names)} "
                    f"({shown(origins)}).",
                    fix.format(**names),
                    tuple(origin for origin, _ in hits), tuple(what for _, what in hits),
                )
            )  # fmt: skip
    return found


def _truncated(rows: Dataset, sizes: dict[str, _Sizes], limit: int) -> list[Finding]:
    whole = np.array([size.whole for size in sizes.values()])
    long = sorted((o for o in sizes if sizes[o].whole > limit), key=lambda o: -sizes[o].whole)
    if not long:
        return []
    limits = [n for n in sorted({*CANDIDATES, limit}) if n >= limit and (whole > n / 2).any()]
    table = ", ".join(f"{n}: {(whole > n).sum()}" for n in limits)
    found = [
        Finding(
            "truncated", "warning",
            f"{len(long):,} of {len(rows):,} {rows.name} rows are longer than "
            f"model.max_length_tokens={limit} and lose their oldest turns, or the beginning of "
            f"what is asked (rows longer than {table}).",
            f"Set model.max_length_tokens={whole.max()} if the base reads so many, or shorten "
            "them.",
            tuple(long), tuple(f"{sizes[origin].whole} tokens" for origin in long),
        )
    ]  # fmt: skip
    cut = sorted((o for o in long if sizes[o].answer > limit), key=lambda o: -sizes[o].answer)
    if cut:
        found.append(
            Finding(
                "answer_would_be_cut", "error",
                f"{len(cut):,} of {len(rows):,} {rows.name} rows have an answer that does not fit "
                f"into model.max_length_tokens={limit} even alone ({shown(cut)}): its end would "
                "be cut.",
                f"Set model.max_length_tokens={sizes[cut[0]].answer} or more, or shorten them; "
                "--fix leaves out those that are not of test.",
                tuple(cut),
                tuple(f"{sizes[o].answer} tokens of answer and system" for o in cut),
                {} if rows.name == "test" else dict.fromkeys(cut),
            )
        )  # fmt: skip
    return found


def _sample(subject: Subject, template: "Template | Pairing") -> list[Finding]:
    """A short, a usual and a long row as the model reads them."""
    able = sorted(
        subject.train.examples, key=lambda e: sum(len(turn.content) for turn in conversation(e))
    )
    places = dict.fromkeys(int(share * (len(able) - 1)) for share in (0.25, 0.5, 0.75))
    told, added = [], False
    for example in [able[place] for place in places][:ROWS_SHOWN]:
        try:
            rendered = template.render(example)
            told.append((example.origin, marked(template, rendered)))
            added = added or rendered.end_added
        except FucinaError:
            continue
    if not told:
        return []
    learnt = "every turn of the assistant" if template.supervise == "assistant" else "the last turn"
    beside = ", which is added because the template ends no last answer" if added else ""
    return [
        Finding(
            "rendering", "note",
            f"rows are written {template.way}; {learnt} is learnt, up to "
            f"{template.end}{beside}: what stands in ‹ › below.",
            "Look whether this is what the model shall read and say.",
            tuple(origin for origin, _ in told), tuple(text for _, text in told),
        )
    ]  # fmt: skip


def marked(template: "Template | Pairing", rendered: "Rendered") -> str:
    """A row with what is learnt in ‹ ›, and long parts shortened in their middle."""
    runs: list[tuple[bool, list[int]]] = []
    for number, learnt in zip(rendered.ids.tolist(), rendered.supervised.tolist(), strict=True):
        if not runs or runs[-1][0] != learnt:
            runs.append((learnt, []))
        runs[-1][1].append(number)
    parts = []
    for learnt, ids in runs:
        text = _short(template.tokenizer.decode(ids).replace("‹", "<").replace("›", ">"))
        parts.append(f"‹{text}›" if learnt else text)
    return "".join(parts).rstrip("\n")


def _short(text: str) -> str:
    half = LONG // 2
    left_out = len(text) - 2 * half
    return text if left_out <= 20 else f"{text[:half]} […{left_out} more…] {text[-half:]}"


def _tail(text: str) -> str:
    return f"…{' '.join(text.split())[-60:]}"
