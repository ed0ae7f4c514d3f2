"""Ways to answer the test rows of a recipe with a trained model, alone or beside documents."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fucina.advise import behind, with_turns
from fucina.errors import DataError
from fucina.records import Example, Predictions, Spans, Texts
from fucina.ways import ROOM, TIMED, Case, Tried, UntriedError, said_to

__all__ = ["behind_documents", "quoted", "trained"]


def trained(case: Case, folder: Path, *, documents: bool, learnt: bool) -> Tried:
    """Let a trained model answer.

    Args:
        case: What is asked.
        folder: Its run.
        documents: Whether it is given what is found.
        learnt: Whether it has learnt from rows with documents too.

    Raises:
        UntriedError: It does not write, so it cannot be given documents.
    """
    from fucina.models import threads
    from fucina.models.writer import Writer
    from fucina.opening import answer, load_model

    with threads.start() as pool:
        _, model = load_model(folder, workers=threads.count(pool))
        rows, looked = list(case.rows), [0.0] * len(case.rows)
        if documents:
            if not isinstance(model, Writer):
                raise UntriedError("a model that does not write cannot be given documents")
            rows, looked = behind_documents(case, case.rows)
        times = []
        for row, ms in zip(rows[:TIMED], looked, strict=False):
            began = time.perf_counter()
            answer(model, [row], threads=pool)
            times.append(1000 * (time.perf_counter() - began) + ms)
        if isinstance(model, Writer):
            texts = model.predict(rows, threads=pool, progress=case.progress)
        else:
            given = answer(model, rows, threads=pool, progress=case.progress)
            texts = said_to(case, _in_words(case, given))
    notes = []
    if documents:
        notes.append(
            "It learnt from rows with documents." if learnt
            else "It learnt without documents, and is given them now."
        )  # fmt: skip
    if texts.cut:
        notes.append(f"{len(texts.cut)} of {len(rows)} prompts were too long and cut.")
    own = tuple(row.prompt for row in case.rows)
    return Tried(replace(texts, prompts=own), tuple(times), tuple(notes))


def quoted(case: Case, folder: Path) -> Tried:
    """Let the documents answer where they are likely to have it, else a trained model.

    Args:
        case: What is asked.
        folder: The run of the model.
    """
    spoken = trained(case, folder, documents=False, learnt=False)
    answers, times, count = [], [], 0
    for number, (row, answer) in enumerate(zip(case.rows, spoken.texts.answers, strict=True)):
        case.progress("looking up", number + 1, len(case.rows))
        began = time.perf_counter()
        said = case.lookup.say(row)
        ms = 1000 * (time.perf_counter() - began)
        count += bool(said)
        answers.append(said or answer)
        times.append(ms if said else ms + sum(spoken.latency_ms[number : number + 1]))
    note = f"{count} of {len(answers)} rows are answered by documents, the others by the model."
    # How likely the model found the true answers says nothing of those that documents gave.
    by_model = [answer is own for answer, own in zip(answers, spoken.texts.answers, strict=True)]
    texts = replace(
        said_to(case, answers),
        read=_only(by_model, spoken.texts.read),
        written=_only(by_model, spoken.texts.written),
    )
    return Tried(texts, tuple(times[:TIMED]), (note,))


def _only(by_model: Sequence[bool], tokens: Sequence[int]) -> tuple[int, ...]:
    """Tokens of the rows that the model answered; the documents' own sentences take none."""
    return tuple(n * own for n, own in zip(tokens, by_model, strict=True))


def behind_documents(case: Case, rows: Sequence[Example]) -> tuple[list[Example], list[float]]:
    """Rows behind what is found for each, as a trained model reads them, and the milliseconds.

    Raises:
        UntriedError: There is no room for one document.
    """
    from fucina.models import source

    name = case.recipe.model.base
    place = source.locate(name)
    tokenizer, network = source.read_tokenizer(name, place), source.read_config(name, place)

    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    positions = int(
        getattr(network, "max_position_embeddings", case.recipe.model.max_length_tokens)
    )
    most = case.recipe.chat.max_new_tokens
    room = min(positions - most, case.recipe.model.max_length_tokens) - ROOM
    made, times = [], []
    for done, row in enumerate(rows, start=1):
        case.progress("looking up", done, len(rows))
        found = case.lookup.find(row)
        try:
            told = (case.recipe.chat.system or "", case.session)
            turns = behind(row, found.hits, found.shots, told, count, room)
        except DataError as error:
            raise UntriedError(error.problem.rstrip(".")) from error
        made.append(with_turns(row, turns))
        times.append(found.ms)
    return made, times


def _in_words(case: Case, given: Predictions | Texts | Spans) -> Sequence[str]:
    """Labels as they are called; spans as their form that is written."""
    if isinstance(given, Predictions):
        return given.answers
    if isinstance(given, Texts):
        return given.answers
    form = case.task.choices.forms["text"]
    asked, answered = form.asked, form.answered
    return [
        form.read({asked: prompt, answered: [vars(span) for span in spans]}).target
        for prompt, spans in zip(given.prompts, given.answers, strict=True)
    ]
