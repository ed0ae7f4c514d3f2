"""Whatever a cause in the settings proposes, the task of the run can do, however it answers."""

import itertools
import math

import pytest

from fucina.diagnose import Training
from fucina.diagnose.causes import SETTINGS
from fucina.recipe import parse
from fucina.records import Epoch

KINDS = {
    "labels": ("classification", [], 4),
    "names of labels": ("classification", ["model.head=words"], 4),
    "spans": ("entities", [], 9),
    "text": ("chat", [], 0),
    "text, from random weights": (
        "chat", ["model.base=scratch", "adapter.kind=full", "adapter.layers=all"], 0,
    ),
}  # fmt: skip
ASKED = [
    [],
    ["training.learning_rate=1e-6"],
    ["training.learning_rate=0.5", "training.warmup=0"],
    ["training.warmup=100000"],
    ["training.epochs=1"],
    ["training.epochs=10000"],
    ["training.batch_size=4096", "training.accumulation=8"],
    ["stopping.patience=1", "training.epochs=40"],
    ["adapter.dropout=0.9", "training.weight_decay=1", "adapter.alpha=0.1"],
    ["training.loss=focal", "loss.gamma=9"],
    ["training.start=cold"],
    ["adapter.rank=1", "adapter.alpha=2"],
    ["adapter.target_modules=attention"],
    ["adapter.target_modules=[k_proj]"],
    ["adapter.kind=full"],
    ["adapter.kind=head"],
]
ENDED = ("ran all epochs", "the validation loss did not fall for 1 epochs")
CURVES = {
    "still": ((2.0, 2.0, 2.0), (2.0, 2.0, 2.0, 2.0)),
    "jumped": ((9.0, 8.0, 7.0), (2.0, 9.0, 8.0, 7.0)),
    "learnt by heart": ((1.5, 0.5, 0.01), (2.0, 1.2, 1.6, 3.0)),
    "falling": ((2.0, 1.5, 1.2), (2.1, 1.8, 1.5, 1.2)),
    "not a number": ((math.nan, math.nan, math.nan), (2.0, math.nan, math.nan, math.nan)),
}


def _training(recipe, of_labels, curves, ended):
    train, held = CURVES[curves]
    losses = [math.nan, *train]
    epochs = tuple(
        Epoch(0, n, losses[n], held[n], {"accuracy": 0.5 + n / 100}, 1.0, 5e-4, 1.0)
        for n in range(len(held))
    )
    return Training(
        recipe=recipe, members=[{"ended": ended}], epochs=epochs, rows=300,
        ignorance=math.log(of_labels) if of_labels else 6.0, of_labels=of_labels,
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_fix_of_every_setting_is_accepted(kind, accepted, usable):
    task, own, of_labels = KINDS[kind]
    seen, changed = set(), 0
    head = f"{{task: {task}, name: a, data: {{train: a.jsonl, test: b.jsonl}}}}"
    pairs = itertools.combinations_with_replacement(ASKED, 2)
    recipes = [parse(head, [*own, *one, *other])[0] for one, other in pairs]
    for recipe, curves, ended in itertools.product(filter(usable, recipes), CURVES, ENDED):
        training = _training(recipe, of_labels, curves, ended)
        for check in SETTINGS:
            cause = check(training)
            if cause is not None:
                seen.add(check.__name__)
                changed += bool(accepted(cause, recipe).changes)
    lora_only = {"rank_too_small", "wrong_modules"} if "random" in kind else set()
    assert seen == {check.__name__ for check in SETTINGS} - lora_only
    assert changed > 100
