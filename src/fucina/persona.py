"""What a recipe holds answers against beside the true ones: kept in a run, and made ready there."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fucina import data, evaluate, run, tasks
from fucina.endpoint import Endpoint, is_loopback
from fucina.errors import DataError, RecipeError, nearest
from fucina.records import Example, Progress, silent

if TYPE_CHECKING:
    from fucina.config import ConstitutionConfig, Recipe
    from fucina.models.writer import Writer

__all__ = ["check", "keep", "open_persona"]

CONSTITUTION, OTHERS, OPINIONS = "constitution.yaml", "others.jsonl", "opinions.jsonl"
ASKED_OF_BASE = 60  # questions of train; enough to hear a voice, and minutes at most


def check(recipe: "Recipe", root: Path, keys: Mapping[str, str]) -> None:
    """Find what is wrong with constitution and others before training begins.

    Args:
        recipe: Names both.
        root: The folder that paths in the recipe are relative to.
        keys: Name of a variable to the key of an endpoint.

    Raises:
        RecipeError: The constitution, the judge's address or a goal is wrong.
        DataError: The other answers cannot be read, or are too few.
        MissingExtraError: A library that a rule needs is not installed.
    """
    chat = recipe.chat
    rules = data.load_constitution(root / chat.constitution) if chat.constitution else None
    if rules is not None:
        if any(rule.language for rule in rules.rules):
            data.guess("")
        if rules.judge is not None:
            Endpoint(rules.judge, keys.get(rules.judge.key_variable, ""), section="judge")
    if chat.others:
        _read_others(root / chat.others)
    known = [f"rule:{rule.name}" for rule in rules.rules] if rules is not None else []
    for goal in recipe.evaluation.goals:
        if goal.startswith("rule:") and goal not in known:
            raise RecipeError(
                f"evaluation.goals: the constitution has no {goal!r}.", fix=nearest(goal, known)
            )


def keep(recipe: "Recipe", root: Path, folder: Path) -> None:
    """Keep constitution and other answers in a run, which is judged from them alone."""
    chat = recipe.chat
    for name in (CONSTITUTION, OTHERS):  # of a folder that is judged again, by another recipe
        (folder / name).unlink(missing_ok=True)
    if chat.constitution:
        run.write_bytes(folder / CONSTITUTION, (root / chat.constitution).read_bytes())
    if chat.others:
        _write_others(folder / OTHERS, _read_others(root / chat.others))


def open_persona(
    folder: Path,
    recipe: "Recipe",
    learned: Sequence[Example],
    asked: Sequence[Example],
    plain: "Callable[[], Writer]",
    *,
    keys: Mapping[str, str],
    threads: ThreadPoolExecutor,
    progress: Progress = silent,
) -> evaluate.Persona | None:
    """Make ready what a run holds answers against; None where it is only the true answers.

    Args:
        folder: The run, which keeps opinions of the judge and answers of the base too.
        recipe: Its recipe.
        learned: Rows of training.
        asked: Rows that will be judged; other answers to their questions are not learnt from.
        plain: Opens the base alone, where no other answers are known.
        keys: Name of a variable to the key of an endpoint.
        threads: Where answers are written.
        progress: Told after each chunk and each opinion.
    """
    written, others = folder / CONSTITUTION, folder / OTHERS
    if not written.is_file() and not others.is_file():
        return None
    constitution = data.load_constitution(written) if written.is_file() else None
    judge, notes = _judge(constitution, keys, folder / OPINIONS, progress)
    if not others.is_file():
        progress("answers of the base alone", 0, 0)
        _write_others(others, _of_base(plain(), learned, threads, progress, seed=recipe.seed))
    questions = {question for question, _ in evaluate.lines_of(asked)}
    strange = [line for line in _lines(others) if line[0] not in questions]
    hers = evaluate.lines_of(learned)
    config = recipe.evaluation
    voice = evaluate.listen(
        hers, strange, seed=recipe.seed, samples=config.bootstrap_samples,
        confidence=config.confidence,
    )  # fmt: skip
    if voice is None:
        notes.append(
            f"Sounds like: {len(hers)} answers of train and {len(strange)} others are too few to "
            f"tell them apart; {evaluate.FEWEST} of each are the least."
        )
    rules = constitution.rules if constitution is not None else ()
    resting = evaluate.idle(rules, asked)
    if resting:
        notes.append(f"No row asks for {len(resting)} rule(s): {', '.join(resting)}.")
    return evaluate.Persona(
        rules,
        data.guess,
        judge,
        voice,
        recipe.chat.others or "the base alone",
        tuple(notes),
    )


def _judge(
    constitution: "ConstitutionConfig | None",
    keys: Mapping[str, str],
    opinions: Path,
    progress: Progress,
) -> tuple[evaluate.Judge | None, list[str]]:
    """Who decides rules in words, or why nobody does."""
    rules = constitution.rules if constitution is not None else ()
    count = sum(rule.judge is not None for rule in rules)
    if constitution is None or not count:
        return None, []
    config = constitution.judge
    if config is None:
        why = "the constitution has no section judge with url and model"
        return None, [f"{count} rule(s) in words are left out: {why}."]
    key = keys.get(config.key_variable, "")
    if not key and not is_loopback(config.url, "judge"):
        why = f"the variable {config.key_variable} is not set"
        return None, [f"{count} rule(s) in words are left out: {why}."]
    return evaluate.Judge(config, key, opinions, progress=progress), []


def _of_base(
    plain: "Writer",
    learned: Sequence[Example],
    threads: ThreadPoolExecutor,
    progress: Progress,
    *,
    seed: int,
) -> list[evaluate.Line]:
    """What the base alone answers to questions of training."""
    count = min(ASKED_OF_BASE, len(learned))
    places = np.random.default_rng(seed).choice(len(learned), count, replace=False)
    rows = [learned[place] for place in sorted(places.tolist())]
    answers = plain.predict(rows, threads=threads, foretell=False, progress=progress).answers
    asked = [evaluate.lines_of([row])[-1:] or [(row.prompt, "")] for row in rows]
    pairs = zip(asked, answers, strict=True)
    return [(lines[0][0], answer) for lines, answer in pairs if answer.strip()]


def _read_others(path: Path) -> list[evaluate.Line]:
    lines = evaluate.lines_of(data.load(path, tasks.get("chat"), {}).examples)
    if len(lines) < evaluate.FEWEST:
        raise DataError(
            f"chat.others: {path} has {len(lines)} answers.",
            fix=f"Give {evaluate.FEWEST} or more; fifty tell much better.",
        )
    return lines


def _write_others(path: Path, lines: Sequence[evaluate.Line]) -> None:
    rows = [{"prompt": question, "answer": answer} for question, answer in lines]
    run.write_text(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))


def _lines(path: Path) -> list[evaluate.Line]:
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [(row["prompt"], row["answer"]) for row in rows]
