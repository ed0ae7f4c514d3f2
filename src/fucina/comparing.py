"""Runs side by side: what changed between two, and who of many is best at which task."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fucina import evaluate, run, using
from fucina.errors import RunError
from fucina.records import Change, Comparison, Contest, Interval, Leaderboard, Standing

__all__ = ["change", "differing", "leaderboard", "same_job"]

MIB = 2**20
MEASURED = ("latency_p50_ms", "prompt_tokens_mean", "answer_tokens_mean", "peak_memory_mib")
NEVER_TOLD = ("name", "output")  # they differ and change nothing


def same_job(first: Path, second: Path) -> bool:
    """Whether two runs are of one task."""
    return run.read_recipe(run.find(first)).task == run.read_recipe(run.find(second)).task


def change(first: Path, second: Path, comparison: Comparison | None = None) -> Change:
    """What the second run changed against the first.

    Args:
        first: A run folder.
        second: A run folder.
        comparison: Of their answers; None compares those that the folders keep.

    Raises:
        RunError: They were judged on different rows, or one is not complete.
    """
    folders = [run.find(folder) for folder in (first, second)]
    comparison = comparison or using.compare(*folders)
    facts = [_facts(folder) for folder in folders]
    scores = [_scores(fact["model"]) for fact in facts]
    rows = [run.read_json(folder / "data.json")["development"]["rows"] for folder in folders]
    settings = [run.read_recipe(folder).model_dump(mode="json") for folder in folders]
    return Change(
        {name: score for name, score in scores[0].items() if name in scores[1]},
        scores[1],
        comparison,
        differing(*settings),
        (rows[0], rows[1]),
    )


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings in which two recipes differ.

    Example:
        >>> differing({"seed": 1, "adapter": {"rank": 8}}, {"seed": 1, "adapter": {"rank": 16}})
        {'adapter.rank': (8, 16)}
    """
    old, new = _flat(before), _flat(after)
    return {
        name: (old.get(name), new.get(name))
        for name in {**old, **new}
        if old.get(name) != new.get(name) and name not in NEVER_TOLD
    }


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        inner = value.items() if isinstance(value, Mapping) else [("", value)]
        found |= {f"{key}.{name}" if name else key: content for name, content in inner}
    return found


def leaderboard(runs: Sequence[Path]) -> Leaderboard:
    """Rank runs by task and test rows.

    Args:
        runs: Run folders, or folders of a recipe's name; one given twice counts once.

    Raises:
        RunError: A folder is not that of a complete run.
    """
    folders = list(dict.fromkeys(run.find(folder) for folder in runs))
    named = {_name(folder): folder for folder in folders}
    groups: dict[tuple[str, str, str], list[str]] = {}
    for name, folder in named.items():
        facts = _facts(folder)
        test = run.read_json(folder / "data.json")["test"]["sha256"]
        task = run.read_recipe(folder).task
        groups.setdefault((task, test, facts["headline"]), []).append(name)

    def compare(first: str, second: str) -> Comparison:
        return using.compare(named[first], named[second])

    contests = []
    for (task, test, metric), names in sorted(groups.items()):
        rows = run.read_json(named[names[0]] / "data.json")["test"]["rows"]
        empty = Contest(task, metric, rows, test[:8], (), "")
        standings = [_standing(name, named[name], metric) for name in names]
        contests.append(evaluate.contest(empty, standings, compare))
    return Leaderboard(tuple(contests))


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def _facts(folder: Path) -> dict[str, Any]:
    if not (folder / "metrics.json").is_file():
        raise RunError(f"{folder} is not complete.", fix="Finish it: fucina train RECIPE --resume.")
    return run.read_json(folder / "metrics.json")


def _scores(model: Mapping[str, Any]) -> dict[str, Interval]:
    return {name: Interval(**score) for name, score in model["scores"].items()}


def _standing(name: str, folder: Path, metric: str) -> Standing:
    model = _facts(folder)["model"]
    recipe = run.read_recipe(folder)
    # A base made for a recipe has no name of its own, only a folder among the runs.
    made = Path(recipe.model.base).parent.name == ".bases"
    base = "scratch" if made else Path(recipe.model.base).name
    kind = recipe.adapter.kind + (f", {recipe.folds.count} folds" if recipe.folds.count else "")
    score = _scores(model)[metric]
    return Standing(name, f"{base} ({kind})", score, _cost(folder, model["cost"]))


def _cost(folder: Path, measured: Mapping[str, float]) -> dict[str, float]:
    """What an answer and the training cost; what a run does not know is left out."""
    found = {name: measured[name] for name in MEASURED if name in measured}
    plan = folder / "plan.json"
    truth = run.read_json(plan).get("truth") if plan.is_file() else None
    if truth and "training" in truth["seconds"]:
        found["training_s"] = truth["seconds"]["training"]
    files = [file for member in folder.glob("best_model_*") for file in member.rglob("*")]
    found["adapter_mib"] = sum(file.stat().st_size for file in files if file.is_file()) / MIB
    return found
