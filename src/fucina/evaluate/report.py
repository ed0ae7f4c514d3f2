"""The report of a run: one page that holds everything, for somebody who did not run it."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from fucina.config import METRIC_NAMES
from fucina.evaluate import charts
from fucina.evaluate.trust import sentences

__all__ = ["report"]

SCORES = {
    "balanced_accuracy": "balanced accuracy on held-out rows",
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
STYLE = """
:root{color-scheme:light dark;--ink:#1f2933;--soft:#52606d;--line:#e4e7eb;--page:#fff;--hot:#b4431f}
@media(prefers-color-scheme:dark){:root{--ink:#e4e7eb;--soft:#9aa5b1;--line:#323f4b;--page:#171c21;--hot:#f0875f}}
*{box-sizing:border-box}body{margin:0 auto;padding:2.5rem 1.25rem 4rem;max-width:46rem;background:var(--page);
color:var(--ink);font:16px/1.55 system-ui,sans-serif}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;
margin:2.6rem 0 .4rem}p.lead{font-size:1.15rem;border-left:4px solid var(--hot);padding-left:1rem;margin:1rem 0}
div.wide{overflow-x:auto}p.how{color:var(--soft);font-size:.9rem;margin:.2rem 0 .8rem}table{border-collapse:collapse;width:100%;
font-size:.92rem}th,td{text-align:left;padding:.32rem .6rem .32rem 0;border-bottom:1px solid var(--line);
vertical-align:top;overflow-wrap:break-word}th{font-weight:600;color:var(--soft)}td.n,th.n{text-align:right;
font-variant-numeric:tabular-nums;white-space:nowrap}figure{margin:.5rem 0;background:#fff;border-radius:6px;
padding:.6rem;overflow-x:auto}figure svg{max-width:100%;height:auto;display:block;margin:auto}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:.6rem}summary{cursor:pointer}
@media print{body{max-width:none}h2{break-after:avoid}figure,tr{break-inside:avoid}}
"""  # noqa: E501


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
    epochs = [event for event in events if event.get("event") == "epoch"]
    model = facts["model"]
    parts = [
        f"<h1>{escape(recipe['name'])}</h1>",
        f'<p class="how">{escape(recipe["task"])} on {escape(recipe["model"]["base"])}</p>',
        f'<p class="lead">{escape(facts["verdict"])}</p>',
        _scores(facts),
        _baselines(facts),
        _section(
            "Labels, weakest first",
            "F1 of each label on the test rows; in brackets how many rows it has.",
            _figure(charts.label_bars(model["per_label"])),
        ),
        _confusion(model),
        _trust(facts),
        _curves(epochs),
        _expected(facts.get("expectations", [])),
        _members(facts.get("members", [])),
        _learning(facts.get("learning_curve")),
        _must_fix(facts.get("must_fix", [])),
        _errors(facts.get("errors", [])),
        _cost(model["cost"]),
        _made(recipe, facts.get("environment", {})),
    ]
    title = escape(recipe["name"])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body></html>\n"
    )


def _section(title: str, how: str, body: str) -> str:
    return f'<h2>{escape(title)}</h2>\n<p class="how">{escape(how)}</p>\n{body}'


def _figure(svg: str) -> str:
    return f"<figure>{svg}</figure>"


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: int = 0) -> str:
    """Rows as a table; from column `numbers` on (if set) cells are numbers, aligned right."""

    def cells(row: Sequence[Any], tag: str) -> str:
        marks = [' class="n"' if numbers and i >= numbers else "" for i in range(len(row))]
        return "".join(
            f"<{tag}{mark}>{escape(str(cell))}</{tag}>"
            for mark, cell in zip(marks, row, strict=True)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    head = f"<thead><tr>{cells(header, 'th')}</tr></thead>"
    return f'<div class="wide"><table>{head}<tbody>{body}</tbody></table></div>'


def _scores(facts: Mapping[str, Any]) -> str:
    held, folds, rows = facts["out_of_fold"]["scores"], facts.get("folds"), []
    for name, score in facts["model"]["scores"].items():
        rows.append(
            (
                METRIC_NAMES[name],
                f"{score['value']:.3f}",
                f"{score['low']:.3f} to {score['high']:.3f}",
                f"{held[name]['value']:.3f}",
                *([f"{folds[name]['mean']:.3f} ± {folds[name]['std']:.3f}"] if folds else []),
            )
        )
    how = (
        f"On {facts['model']['rows']} test rows that no training saw; the interval says where the "
        "score of another such test set would likely lie. Held out: each row answered by the "
        "members that did not train on it; those rows also chose the best epoch."
    )
    header = ("metric", "test", "interval", "held out", *(["mean ± std of folds"] if folds else []))
    return _section("Scores", how, _table(header, rows, numbers=1))


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
    table = _table(("baseline", "model ahead", "interval", "McNemar p", "verdict"), rows)
    return _section("Beside free baselines", how, _figure(charts.dots(pairs)) + table)


def _confusion(model: Mapping[str, Any]) -> str:
    labels, table = model["labels"], model["confusion"]
    if len(labels) <= MATRIX_LABELS:
        return _section(
            "Confusion matrix",
            "Rows are true labels, columns answers; the diagonal is right.",
            _figure(charts.confusion(table, labels)),
        )
    pairs = sorted(
        (
            (-count, labels[row], labels[column])
            for row, counts in enumerate(table)
            for column, count in enumerate(counts)
            if row != column and count
        )
    )[:CONFUSIONS_LISTED]
    rows = [(true, answered, -count) for count, true, answered in pairs]
    return _section(
        "Worst confusions",
        f"The most frequent wrong answers among {len(labels)} labels.",
        _table(("true", "answered", "rows"), rows, numbers=2),
    )


def _trust(facts: Mapping[str, Any]) -> str:
    bins, found = facts.get("reliability", []), facts.get("calibration")
    if not bins:
        return ""
    before, told, curve = [], "", ""
    if found is not None:
        told = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences(facts))
        curve = _figure(charts.coverage(found["curve"], found["target"], found["threshold"]))
        before = found["test"]["reliability_before"] if found["temperature"] != 1 else []
    return _section(
        "Does 90 % mean nine of ten?",
        "Left: each dot is a group of test answers of like confidence, larger with more rows; "
        "below the line the model is surer than it should be, above it less sure; rings are before "
        "calibration. Right: how many answers are wrong when only the surest are given, on "
        "held-out rows; the dashed line bounds it for rows of the same kind.",
        f'<div class="row">{_figure(charts.reliability(bins, before))}{curve}</div>{told}',
    )


def _curves(epochs: Sequence[Mapping[str, Any]]) -> str:
    if not epochs:
        return ""
    flat = [{**epoch, **epoch["scores"]} for epoch in epochs]
    drawn = [
        _figure(charts.curves(flat, key, name))
        for key, name in {**CURVES, **SCORES}.items()
        if any(epoch.get(key) is not None for epoch in flat)
    ]
    return _section(
        "How training went",
        "A thin line a member, their mean bold; epoch 0 is the start. A validation loss that rises "
        "while the training loss falls is overfitting.",
        f'<div class="row">{"".join(drawn)}</div>',
    )


def _expected(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    table = [
        (row["name"], f"{row['expected']:g}", f"{row['got']:.4g}", "yes" if row["met"] else "no")
        for row in rows
    ]
    return _section(
        "What was expected",
        "The expectations of the recipe; losses and scores are means over the members.",
        _table(("expectation", "expected", "got", "met"), table, numbers=1),
    )


def _members(members: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (m["member"], m["kept_epoch"], f"{m['score']:.3f}",
         f"{m['validation_loss']:.3f}", m["ended"])
        for m in members
    ]  # fmt: skip
    header = ("member", "epoch kept", "best score", "validation loss", "ended because")
    how = "Each model, on the rows it held out, and why its training ended."
    return _section("Members", how, _table(header, rows)) if rows else ""


def _learning(curve: Mapping[str, Any] | None) -> str:
    if curve is None:
        return ""
    rows = [
        (str(n), f"{a['value']:.1%}", f"{a['low']:.1%} to {a['high']:.1%}")
        for n, a in zip(curve["rows"], curve["accuracy"], strict=True)
    ]
    drawn = _figure(charts.growth(curve["rows"], curve["accuracy"]))
    table = _table(("training rows", "accuracy", "interval"), rows, numbers=1)
    return _section("Are more rows worth it?", curve["advice"], drawn + table)


def _must_fix(cases: Sequence[Mapping[str, Any]]) -> str:
    if not cases:
        return ""
    rows = [
        (
            c["prompt"], c["target"], c["answer"] if not c["right"] else "right",
            f"{c['confidence']:.0%}", "yes" if c["seen"] else "no",
        )
        for c in sorted(cases, key=lambda case: case["right"])
    ]  # fmt: skip
    right = sum(case["right"] for case in cases)
    return _section(
        "Must-fix cases",
        f"{right} of {len(cases)} are right. A case that is a training row proves nothing.",
        _table(("text", "must be", "answer", "sure", "learnt"), rows),
    )


def _errors(errors: Sequence[Mapping[str, Any]]) -> str:
    rows = [(e["prompt"], e["target"], e["answer"], f"{e['confidence']:.0%}") for e in errors]
    if not rows:
        return ""
    how = "Test rows answered wrongly, the surest first: label mistakes often stand at the top."
    return _section("Wrong answers", how, _table(("text", "true", "answer", "sure"), rows))


def _cost(cost: Mapping[str, float]) -> str:
    if not cost:
        return ""
    rows = [
        ("one text, mean", f"{cost['latency_mean_ms']:.1f} ms"),
        ("one text, median", f"{cost['latency_p50_ms']:.1f} ms"),
        ("one text, 95th percentile", f"{cost['latency_p95_ms']:.1f} ms"),
        ("peak memory of the process that trained", f"{cost['peak_memory_mib']:.0f} MiB"),
    ]
    how = "Measured on the machine that trained, one text at a time, tokenizing included."
    return _section("What an answer costs", how, _table(("", ""), rows, numbers=1))


def _made(recipe: Mapping[str, Any], environment: Mapping[str, Any]) -> str:
    rows = []
    for key, value in recipe.items():
        inner = value.items() if isinstance(value, Mapping) else [("", value)]
        rows += [(f"{key}.{name}" if name else key, content) for name, content in inner]
    packages = ", ".join(f"{name} {v}" for name, v in environment.get("packages", {}).items())
    rows += [("made with", packages)] if packages else []
    return (
        "<h2>How it was made</h2>\n<details><summary>All settings</summary>"
        f"{_table(('setting', 'value'), rows)}</details>"
    )
