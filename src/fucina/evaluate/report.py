"""The report of a run: one page that holds everything, for somebody who did not run it."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from fucina.config import metric_name
from fucina.evaluate import charts
from fucina.evaluate.page import figure, page, section, table
from fucina.evaluate.report_costs import costs
from fucina.evaluate.report_spans import span_parts
from fucina.evaluate.report_texts import of_all_rows, part_title, text_parts
from fucina.evaluate.true_answers import TRUE
from fucina.evaluate.trust import sentences

__all__ = ["report"]

SCORES = {
    "balanced_accuracy": "balanced accuracy on held-out rows",
    "f1": "F1 of held-out rows",
    "token_accuracy": "accuracy of single tokens on held-out rows",
}
CURVES = {
    "train_loss": "training loss",
    "validation_loss": "validation loss",
    "gradient_norm": "gradient norm before clipping",
    "learning_rate": "learning rate",
}
MATRIX_LABELS = 30  # a larger matrix cannot be read; its worst confusions are listed instead
CONFUSIONS_LISTED = 15


def report(
    facts: Mapping[str, Any], events: Sequence[Mapping[str, Any]], recipe: Mapping[str, Any]
) -> str:
    """Write the page of a run.

    Args:
        facts: The content of metrics.json.
        events: The lines of events.jsonl.
        recipe: The settings of the run.

    Returns:
        One HTML document that loads nothing from elsewhere.
    """
    facts = of_all_rows(facts)
    epochs = [event for event in events if event.get("event") == "epoch"]
    model = facts["model"]
    kind = facts.get("answer") or ("label" if model["labels"] else "text")
    own = {"label": _label_parts, "spans": span_parts, "text": text_parts}[kind]
    parts = [
        f"<h1>{escape(recipe['name'])}</h1>",
        f'<p class="how">{escape(recipe["task"])} on {escape(recipe["model"]["base"])}</p>',
        f'<p class="lead">{escape(facts["verdict"])}</p>',
        _scores(facts),
        *own(facts),
        *(
            one
            for name, part in facts.get("parts", {}).items()
            for one in (part_title(name, part), _scores(part), *text_parts(part))
        ),
        _curves(epochs),
        _expected(facts.get("expectations", [])),
        _members(facts.get("members", []), scored=kind != "text"),
        _learning(facts.get("learning_curve")),
        _must_fix(facts.get("must_fix", [])),
        *([_errors(facts.get("errors", []))] if kind == "label" else []),
        costs(model["cost"], facts.get("memory", {}), facts.get("tokens", {})),
        _made(recipe, facts.get("environment", {})),
    ]
    return page(recipe["name"], parts)


def _label_parts(facts: Mapping[str, Any]) -> list[str]:
    """What only labels have."""
    model = facts["model"]
    return [
        _baselines(facts),
        section(
            "Labels, weakest first",
            "F1 of each label on the test rows; in brackets how many rows it has.",
            figure(charts.label_bars(model["per_label"])),
        ),
        _confusion(model),
        _trust(facts),
    ]


def _scores(facts: Mapping[str, Any]) -> str:
    held, folds, rows = facts["out_of_fold"]["scores"], facts.get("folds"), []
    apart = facts["model"].get("beside", {}).get(TRUE, {})
    for name, score in facts["model"]["scores"].items():
        if name in apart:
            continue
        rows.append(
            (
                metric_name(name),
                f"{score['value']:.3f}",
                f"{score['low']:.3f} to {score['high']:.3f}",
                f"{held[name]['value']:.3f}" if name in held else "",
                *([_spread(folds.get(name))] if folds else []),
            )
        )
    how = (
        f"On {facts['model']['rows']} test rows that no training saw; the interval says where the "
        "score of another such test set would likely lie. Held out: each row answered by the "
        "members that did not train on it; those rows also chose the best epoch."
    )
    header = ("metric", "test", "interval", "held out", *(["mean ± std of folds"] if folds else []))
    return section("Scores", how, table(header, rows, numbers=1))


def _spread(fold: Mapping[str, float] | None) -> str:
    return f"{fold['mean']:.3f} ± {fold['std']:.3f}" if fold else ""


def _baselines(facts: Mapping[str, Any]) -> str:
    if not facts["baselines"]:
        return ""
    pairs = [("model", facts["model"]["scores"]["accuracy"])]
    pairs += [(b["name"], b["scores"]["accuracy"]) for b in facts["baselines"]]
    rows = []
    for comparison in facts["against"]:
        gain = comparison["differences"]["accuracy"]
        rows.append(
            (
                comparison["first"],
                f"{gain['value']:+.1%}",
                f"{gain['low']:+.1%}\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}{gain['high']:+.1%}",
                f"{comparison['p_value']:.3f}" if comparison["p_value"] >= 0.001 else "<0.001",
                comparison["verdict"],
            )
        )
    how = (
        "What the same rows give without fine-tuning: always the most frequent label; words and "
        "characters: n-grams with logistic regression; frozen: the base model's vectors with "
        "logistic regression. If one is as good, it is the cheaper choice."
    )
    listed = table(("baseline", "model ahead", "interval", "McNemar p", "verdict"), rows)
    return section("Beside free baselines", how, figure(charts.dots(pairs)) + listed)


def _confusion(model: Mapping[str, Any]) -> str:
    labels, counted = model["labels"], model["confusion"]
    if len(labels) <= MATRIX_LABELS:
        return section(
            "Confusion matrix",
            "Rows are true labels, columns answers; the diagonal is right.",
            figure(charts.confusion(counted, labels)),
        )
    pairs = sorted(
        (
            (-count, labels[row], labels[column])
            for row, counts in enumerate(counted)
            for column, count in enumerate(counts)
            if row != column and count
        )
    )[:CONFUSIONS_LISTED]
    rows = [(true, answered, -count) for count, true, answered in pairs]
    return section(
        "Worst confusions",
        f"The most frequent wrong answers among {len(labels)} labels.",
        table(("true", "answered", "rows"), rows, numbers=2),
    )


def _trust(facts: Mapping[str, Any]) -> str:
    bins, found = facts.get("reliability", []), facts.get("calibration")
    if not bins:
        return ""
    before, told, curve = [], "", ""
    if found is not None:
        told = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences(facts))
        curve = figure(charts.coverage(found["curve"], found["target"], found["threshold"]))
        before = found["test"]["reliability_before"] if found["temperature"] != 1 else []
    return section(
        "Does 90 % mean nine of ten?",
        "Left: each dot is a group of test answers of like confidence, larger with more rows; "
        "below the line the model is surer than it should be, above it less sure; rings are before "
        "calibration. Right: how many answers are wrong when only the surest are given, on "
        "held-out rows; the dashed line bounds it for rows of the same kind.",
        f'<div class="row">{figure(charts.reliability(bins, before))}{curve}</div>{told}',
    )


def _curves(epochs: Sequence[Mapping[str, Any]]) -> str:
    if not epochs:
        return ""
    flat = [{**epoch, **epoch["scores"]} for epoch in epochs]
    drawn = [
        figure(charts.curves(flat, key, name))
        for key, name in {**CURVES, **SCORES}.items()
        if any(epoch.get(key) is not None for epoch in flat)
    ]
    return section(
        "How training went",
        "A thin line a member, their mean bold; epoch 0 is the start. A validation loss that rises "
        "while the training loss falls is overfitting.",
        f'<div class="row">{"".join(drawn)}</div>',
    )


def _expected(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    listed = [
        (row["name"], f"{row['expected']:g}", f"{row['got']:.4g}", "yes" if row["met"] else "no")
        for row in rows
    ]
    return section(
        "What was expected",
        "The expectations of the recipe; losses and scores are means over the members.",
        table(("expectation", "expected", "got", "met"), listed, numbers=1),
    )


def _members(members: Sequence[Mapping[str, Any]], *, scored: bool) -> str:
    # The score of texts is their loss, which has a column of its own.
    rows = [
        (m["member"], m["kept_epoch"], *([f"{m['score']:.3f}"] if scored else []),
         f"{m['validation_loss']:.3f}", m["ended"])
        for m in members
    ]  # fmt: skip
    score = ["best score"] if scored else []
    header = ("member", "epoch kept", *score, "validation loss", "ended because")
    how = "Each model, on the rows it held out, and why its training ended."
    return section("Members", how, table(header, rows)) if rows else ""


def _learning(curve: Mapping[str, Any] | None) -> str:
    if curve is None:
        return ""
    percent = curve["metric"] == "accuracy"
    form = ".1%" if percent else ".3f"
    rows = [
        (str(n), f"{s['value']:{form}}", f"{s['low']:{form}} to {s['high']:{form}}")
        for n, s in zip(curve["rows"], curve["scores"], strict=True)
    ]
    drawn = figure(charts.growth(curve["rows"], curve["scores"])) if percent else ""
    name = {"accuracy": "accuracy", "f1": "F1"}.get(curve["metric"], "loss a token, nats")
    listed = table(("training rows", name, "interval"), rows, numbers=1)
    return section("Are more rows worth it?", curve["advice"], drawn + listed)


def _must_fix(cases: Sequence[Mapping[str, Any]]) -> str:
    if not cases:
        return ""
    sure = cases[0]["confidence"] is not None  # of texts nothing is known of it
    rows = [
        (
            c["prompt"], c["target"], c["answer"] if not c["right"] else "right",
            *([f"{c['confidence']:.0%}"] if sure else []), "yes" if c["seen"] else "no",
        )
        for c in sorted(cases, key=lambda case: case["right"])
    ]  # fmt: skip
    right = sum(case["right"] for case in cases)
    return section(
        "Must-fix cases",
        f"{right} of {len(cases)} are right. A case that is a training row proves nothing.",
        table(("text", "must be", "answer", *(["sure"] if sure else []), "learnt"), rows),
    )


def _errors(errors: Sequence[Mapping[str, Any]]) -> str:
    rows = [(e["prompt"], e["target"], e["answer"], f"{e['confidence']:.0%}") for e in errors]
    if not rows:
        return ""
    how = "Test rows answered wrongly, the surest first: label mistakes often stand at the top."
    return section("Wrong answers", how, table(("text", "true", "answer", "sure"), rows))


def _made(recipe: Mapping[str, Any], environment: Mapping[str, Any]) -> str:
    rows = []
    for key, value in recipe.items():
        inner = value.items() if isinstance(value, Mapping) else [("", value)]
        rows += [(f"{key}.{name}" if name else key, content) for name, content in inner]
    packages = ", ".join(f"{name} {v}" for name, v in environment.get("packages", {}).items())
    rows += [("made with", packages)] if packages else []
    return (
        "<h2>How it was made</h2>\n<details><summary>All settings</summary>"
        f"{table(('setting', 'value'), rows)}</details>"
    )
