"""The parts of a report that only spans have."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from fucina.evaluate import charts
from fucina.evaluate.page import figure, section, table
from fucina.evaluate.report_texts import beside
from fucina.evaluate.trust import sentences

__all__ = ["span_parts"]


def span_parts(facts: Mapping[str, Any]) -> list[str]:
    """The model beside its baselines, its types, what is taken for what, and invented names."""
    model = facts["model"]
    pairs = [("model", model["scores"]["f1"])]
    pairs += [(b["name"], b["scores"]["f1"]) for b in facts["baselines"]]
    return [
        beside(facts, above=figure(charts.dots(pairs, "F1")) if facts["baselines"] else ""),
        section(
            "Types, weakest first",
            "Strict F1 of each type on the test rows; in brackets how many spans it has.",
            figure(charts.label_bars(model["per_label"])) if model["per_label"] else "",
        ),
        section(
            "What is taken for what",
            "Spans by true type (rows) and answered type (columns), where the first and the last "
            "character are right. The last column holds what was not found with these bounds, the "
            "last row what was marked where nothing has them; a span with one wrong end is in "
            "both.",
            figure(charts.confusion(model["confusion"], model["labels"])),
        ),
        _trust(facts),
        _errors(facts.get("errors", [])),
    ]


def _trust(facts: Mapping[str, Any]) -> str:
    """Whether spans are right as often as their confidence says."""
    found = facts.get("calibration")
    if found is None:
        return ""
    before = found["test"]["reliability_before"] if found["temperature"] != 1 else []
    how = (
        "Each dot is a group of marked spans of the test rows, by how sure the model is of what "
        "is likelier, that they are right or that they are not; below the line it is surer than "
        "it should be, above it less sure; rings are before calibration."
    )
    told = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences(facts))
    drawn = figure(charts.reliability(facts["reliability"], before))
    return section("Does 90 % mean nine of ten?", how, drawn + told)


def _errors(errors: Sequence[Mapping[str, Any]]) -> str:
    if not errors:
        return ""
    rows = [
        (e["prompt"], e["answer"], e["target"] or "nothing", f"{e['confidence']:.0%}")
        for e in errors
    ]
    how = (
        "Spans of test rows that are not true as they are, the surest first, and what truly stands "
        "there: names that were forgotten when the rows were marked often stand at the top."
    )
    return section("Wrong spans", how, table(("text", "marked", "true there", "sure"), rows))
