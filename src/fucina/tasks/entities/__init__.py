"""Entities: who, where, which organization: stretches of a text, each with a type.

As spans they are marked by a head on every word; `entities.text` and `entities.json` are the same
rows for a decoder that writes them.
"""

from dataclasses import replace

from fucina.tasks import Choices, Judging, Task
from fucina.tasks.entities.baselines import (
    by_forms,
    by_gazetteer,
    by_spacy,
    by_word,
    spacy_models,
)
from fucina.tasks.entities.grammars import in_json, in_words
from fucina.tasks.entities.written import (
    as_json,
    as_text,
    baselines_of,
    examples_of,
    scores_of,
)

__all__ = ["TASK"]


MARKED = Task(
    name="entities",
    summary="Names in a text and their types: persons, places, organizations.",
    answer="spans",
    columns={"text": "the text", "spans": "what is marked: start, end, label"},
    to_example=examples_of(as_text),
    judging=Judging(
        headline="f1",
        baselines={
            "majority": by_word,
            "gazetteer": by_gazetteer,
            "forms": by_forms,
            **({"spacy": by_spacy} if spacy_models() else {}),
        },
    ),
)
TEXT = replace(
    MARKED,
    name="entities.text",
    summary="The same, written as a line: PER: Giulia Ferri; ORG: Comune di Lucca.",
    answer="text",
    judging=replace(
        MARKED.judging,
        scores=scores_of(as_text),
        baselines=baselines_of(as_text, MARKED.judging.baselines),
    ),
    choices=Choices(grammars={"names": in_words}),
)
JSON = replace(
    MARKED,
    name="entities.json",
    summary='The same, written as JSON: [{"PER": "Giulia Ferri"}].',
    answer="text",
    to_example=examples_of(as_json),
    judging=replace(
        MARKED.judging,
        scores=scores_of(as_json),
        baselines=baselines_of(as_json, MARKED.judging.baselines),
    ),
    choices=Choices(grammars={"names": in_json}),
)
TASK = replace(MARKED, choices=Choices(forms={"text": TEXT, "json": JSON}))
