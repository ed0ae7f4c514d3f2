"""Causes in answers that are texts: they do not end, are cut, unlearnt, copied, or uneven."""

from collections.abc import Mapping

import numpy as np

from fucina.config import ChatConfig, ModelConfig, TrainingConfig
from fucina.diagnose.causes.weights import within
from fucina.diagnose.text_case import TextCase
from fucina.records import Cause

__all__ = [
    "answers_cut_off",
    "boilerplate",
    "cut_answers",
    "damaged_text",
    "duplicates",
    "end_not_learned",
    "history_cut",
    "style_drift",
    "unlearnt_turns",
]

SHOWN = 3
TAIL = 12  # characters
TOLD_APART = 0.75  # area under the curve of a model that tells test questions from training ones
TRIED = "not known before it is tried: --test-cause measures it."


def end_not_learned(case: TextCase) -> Cause | None:
    """Answers run on to the limit where the true ones have long ended."""
    limit = case.recipe.chat.max_new_tokens
    fits = case.target_tokens <= limit
    missing = 1 - float(case.test.ended[fits].mean()) if fits.any() else 0.0
    if missing < 0.05:
        return None
    endless = [case.test.answers[row] for row in np.flatnonzero(fits & ~case.test.ended)]
    evidence = (
        f"{len(endless)} of {int(fits.sum())} answers ran to the limit of "
        f"{limit} tokens; the true ones have {int(np.median(case.target_tokens[fits]))} in the "
        "middle",
        f"{sum(map(_circling, endless))} of these say the same again and again",
    )
    more = within(TrainingConfig, "epochs", 2 * case.recipe.training.epochs)
    # A model that learnt next to nothing has not learnt to stop either: then other causes lead.
    learned = 1.0 if case.training.helped and not case.training.blank else 0.5
    return Cause(
        "end_not_learned", float(np.clip(0.25 + 0.6 * missing, 0, 0.9)) * learned,
        f"{missing:.0%} of the answers do not end by themselves, though their true ones are short "
        f"enough: {case.template.end!r} is taught after each answer and is not learnt yet.",
        evidence,
        f"Train longer (training.epochs={more}) or on more rows.",
        TRIED,
        {"training.epochs": more},
    )  # fmt: skip


def _circling(answer: str) -> bool:
    """Whether a text ends with what it has said three times already."""
    return len(answer) >= 3 * TAIL and answer.count(answer[-TAIL:]) > 2


def answers_cut_off(case: TextCase) -> Cause | None:
    """The limit of an answer is below what true answers need."""
    limit = case.recipe.chat.max_new_tokens
    share = float((case.target_tokens > limit).mean())
    if share < 0.05:
        return None
    longest = int(case.target_tokens.max())
    wanted = within(ChatConfig, "max_new_tokens", 2 * longest)
    return Cause(
        "answers_cut_off", float(np.clip(0.4 + 0.55 * share, 0, 0.95)),
        f"{share:.0%} of the true answers are longer than chat.max_new_tokens={limit}: the model "
        "is stopped before it could give them whole.",
        (f"the longest true answer has {longest} tokens",),
        f"Set chat.max_new_tokens={wanted}.",
        "whole answers; the loss stays as it is.",
        {"chat.max_new_tokens": wanted},
    )  # fmt: skip


def unlearnt_turns(case: TextCase) -> Cause | None:
    """Most of what the assistant says is read only."""
    turns = [sum(m.role == "assistant" for m in row.messages) for row in case.development.examples]
    said = max(1, sum(turns))
    unlearnt = said - len(turns)
    if case.recipe.chat.supervise != "last" or unlearnt < 0.2 * said:
        return None
    return Cause(
        "unlearnt_turns", float(np.clip(0.35 + 0.6 * unlearnt / said, 0, 0.9)),
        f"chat.supervise=last leaves {unlearnt} of {said} turns of the assistant "
        f"({unlearnt / said:.0%}) unlearnt.",
        (f"{said / len(turns):.1f} turns of the assistant a conversation",),
        "Set chat.supervise=assistant.",
        f"{unlearnt / len(turns) + 1:.1f} times as many learnt tokens from the same rows.",
        {"chat.supervise": "assistant"},
    )  # fmt: skip


def history_cut(case: TextCase) -> Cause | None:
    """Conversations lose their oldest turns."""
    cut = case.facts.get("truncated", [])
    share = len(cut) / max(1, len(case.development))
    if share < 0.05:
        return None
    most, limit = case.facts.get("longest_tokens", 0), case.recipe.model.max_length_tokens
    wanted = within(ModelConfig, "max_length_tokens", max(most, limit))
    return Cause(
        "truncation", float(np.clip(0.3 + 0.9 * share, 0, 0.95)),
        f"{share:.0%} of the conversations are longer than model.max_length_tokens={limit} and "
        f"lose their oldest turns; the longest has {most} tokens.",
        tuple(case.development.examples[row].origin for row in cut[:SHOWN]),
        f"Set model.max_length_tokens={wanted} if the base reads so many.",
        TRIED,
        {"model.max_length_tokens": wanted},
    )  # fmt: skip


def cut_answers(case: TextCase) -> Cause | None:
    """Answers in the rows stop before their end, and so the model learns to."""
    return _of_finding(
        case, "cut_answer", "cut_answers", least=0.02, slope=1.6,
        fix="Fill in these answers, or leave them out.", drop=True,
    )  # fmt: skip


def boilerplate(case: TextCase) -> Cause | None:
    """Many questions get the same answer, word for word."""
    return _of_finding(
        case, "boilerplate", "boilerplate", least=0.05, slope=0.9,
        fix="Write answers to these questions, or leave most of them out.",
    )  # fmt: skip


def style_drift(case: TextCase) -> Cause | None:
    """Answers are written in more than one manner, or in the test otherwise than in training."""
    within = case.finding("style_drift")
    found = within or case.finding("style_split")
    if found is None:
        return None
    # Of another topic people write in another manner: then the shift says it better.
    elsewhere = within is None and case.beside.domain_auc >= TOLD_APART
    return Cause(
        "style_drift", 0.25 if elsewhere else 0.4, found.message, found.evidence[:SHOWN], found.fix,
        "an even manner; the loss falls where the test is written like the rest." if within else
        "a loss that speaks of what was to be learnt.",
    )  # fmt: skip


def damaged_text(case: TextCase) -> Cause | None:
    """Characters that a wrong encoding left behind."""
    return _of_finding(
        case, "encoding", "damaged_text", least=0.02, slope=1.2,
        fix="Write mended copies: fucina audit RECIPE --fix FOLDER; or set data.encoding.",
    )  # fmt: skip


def duplicates(case: TextCase) -> Cause | None:
    """Many conversations are copies of a few."""
    return _of_finding(
        case, "duplicate", "duplicates", least=0.1, slope=0.8,
        fix="Leave the copies out (fucina audit --fix) and collect other conversations.",
        drop=True,
    )  # fmt: skip


def _of_finding(
    case: TextCase,
    check: str,
    name: str,
    *,
    least: float,
    slope: float,
    fix: str,
    drop: bool = False,
) -> Cause | None:
    """A finding of the audit that touches enough rows to be a cause."""
    found, share = case.finding(check), case.share(check)
    if found is None or share < least:
        return None
    own = {row.origin for row in case.development.examples}
    left_out = {origin: None for origin in found.rows if drop and origin in own}
    # Rows of a run have no fields that could be mended.
    repairs = {
        row: new
        for row, new in found.repairs.items()
        if row in own and not isinstance(new, Mapping)
    }
    return Cause(
        name, float(np.clip(0.35 + slope * share, 0, 0.95)), found.message,
        found.evidence[:SHOWN], fix, TRIED, repairs=repairs or left_out,
    )  # fmt: skip
