"""Causes in how the weights were moved: rate, warm-up, epochs, steps, stopping, loss."""

from math import ceil

from fucina.config import TrainingConfig
from fucina.diagnose.causes.weights import off, points, within
from fucina.diagnose.training import Training
from fucina.records import Cause

__all__ = [
    "batch_too_large",
    "learning_rate_high",
    "learning_rate_low",
    "overfitting",
    "regularization",
    "stopped_early",
    "too_few_epochs",
    "warmup",
]

# The usual peak rate of each kind of training, and from where on it is too high.
USUAL_RATE = {"lora": 5e-4, "head": 1e-3, "full": 5e-5}
HIGH_RATE = {"lora": 3e-3, "head": 5e-2, "full": 3e-4}
BLANK_RATE, HIGH_BLANK_RATE = 1e-3, 1e-2  # all weights, from random ones
USUAL_EPOCHS = {"floor": 4, "cold": 8}
FEW_STEPS = 60
USUAL_WARMUP = 0.1  # of the run
USUAL_SCALE = 2.0  # alpha / rank


def learning_rate_low(training: Training) -> Cause | None:
    """The rate, times the adapter's scale, is far below the usual one and little was learnt."""
    kind, usual = training.recipe.adapter.kind, _usual_rate(training)
    given, adapter = training.recipe.training.learning_rate, training.recipe.adapter
    scale = min(1.0, adapter.alpha / adapter.rank / USUAL_SCALE) if kind == "lora" else 1.0
    times = usual / (given * scale)
    weight = off(times, _undertrained(training))
    if not weight:
        return None
    scaled = f" times alpha / rank = {adapter.alpha / adapter.rank:g}" if scale < 1 else ""
    changes = {} if given == usual else {"training.learning_rate": usual}
    if scale < 1:
        changes["adapter.alpha"] = USUAL_SCALE * adapter.rank
    return Cause(
        "learning_rate_low",
        weight,
        f"The learning rate {given:g}{scaled} is {times:.3g} times below the usual "
        f"{usual:g}, and the model learned little.",
        (_learned(training),),
        f"Set {' and '.join(f'{name}={value:g}' for name, value in changes.items())}.",
        _to_learn(training),
        changes,
    )


def learning_rate_high(training: Training) -> Cause | None:
    """The rate is far above the usual one, or the loss jumped instead of falling."""
    curves, usual = training.curves, _usual_rate(training)
    high = HIGH_BLANK_RATE if usual == BLANK_RATE else HIGH_RATE[training.recipe.adapter.kind]
    given = training.recipe.training.learning_rate
    first = curves.held[1] if len(curves.held) > 1 else curves.held[0]
    jumped = training.times(first, curves.held[0])
    harmed = curves.not_a_number > 0 or not jumped <= 1.2
    if not harmed and training.helped and training.rose < 1.1:
        return None
    evidence = 1.0 if harmed else 0.9 if training.rose > 1.3 else 0.3
    weight = off(given / high, evidence)
    if harmed and given > usual * 1.5:
        weight = max(weight, 0.7)
    if not weight:
        return None
    seen = [f"held-out loss {curves.held[0]:.3f} before training, {first:.3f} after one epoch"]
    if curves.not_a_number:
        seen.append(f"the loss was not a number in {curves.not_a_number} epoch(s)")
    return Cause(
        "learning_rate_high",
        weight,
        f"The learning rate {given:g} is {given / usual:.3g} times the usual "
        f"{usual:g}, and training made the model worse instead of better.",
        tuple(seen),
        f"Set training.learning_rate={usual:g} and training.warmup=0.1.",
        _to_learn(training),
        {"training.learning_rate": usual, "training.warmup": 0.1},
    )


def warmup(training: Training) -> Cause | None:
    """The warm-up takes most of the run, or is missing where the first epoch did harm."""
    given, steps, curves = training.recipe.training.warmup, training.steps, training.curves
    wanted = given * steps if given < 1 else given
    share = wanted / max(1, steps)
    if share > 0.3:
        evidence = max(_undertrained(training), 0.7 if share >= 1 else 0.0)
        reached = min(1.0, 1 / share)
        return Cause(
            "warmup_too_long",
            min(0.97, off(share / 0.1, 1.0) + 0.02) * evidence,
            f"The warm-up of {wanted:.0f} steps takes {min(1.0, share):.0%} of the run of {steps} "
            f"steps; the learning rate reaches {reached:.0%} of its peak.",
            (_learned(training),),
            "Set training.warmup=0.1, a tenth of the run.",
            _to_learn(training),
            {"training.warmup": 0.1},
        )
    jumped = len(curves.held) > 1 and training.times(curves.held[1], curves.held[0]) > 1.2
    if wanted >= 1 or not jumped or USUAL_WARMUP * steps < 1:
        return None
    return Cause(
        "warmup_missing",
        0.5,
        f"There is no warm-up, and the first epoch made the held-out {training.measure} "
        f"{training.times(curves.held[1], curves.held[0]):.1f} times as large.",
        (f"held-out loss {curves.held[0]:.3f}, then {curves.held[1]:.3f}",),
        "Set training.warmup=0.1.",
        _to_learn(training),
        {"training.warmup": 0.1},
    )


def too_few_epochs(training: Training) -> Cause | None:
    """The run ended while the held-out loss was still falling, or with much left to learn."""
    asked, curves = training.recipe.training, training.curves
    usual = USUAL_EPOCHS[asked.start if training.of_labels else "cold"]
    ended = all(m["ended"] == "ran all epochs" for m in training.members)
    if not ended or training.rose > 1.1:
        return None
    # How low the loss of a text can be, nobody knows: that it still falls must be seen, or that
    # there were hardly any steps.
    hardly = 0.8 if training.steps < FEW_STEPS / 3 else 0.0
    left = training.underfit if training.of_labels else hardly
    evidence = max(0.9 if curves.falling else 0.0, left)
    few = off(usual / asked.epochs, evidence)
    if asked.epochs >= usual and curves.falling:
        fall = 1 - curves.held[-1] / curves.held[-2]
        few = 0.3 + min(0.25, 2 * fall) if fall > 0.05 else 0.0
    enough = ceil(FEW_STEPS * asked.epochs / max(1, training.steps)) if hardly else 0
    more = within(TrainingConfig, "epochs", max(usual, 2 * asked.epochs, enough))
    return Cause(
        "too_few_epochs",
        few,
        f"The run ended after {asked.epochs} epoch(s), {training.steps} steps, with more to learn.",
        (_learned(training),),
        f"Set training.epochs={more}; early stopping ends it when nothing is gained.",
        _to_learn(training),
        {"training.epochs": more},
    ) if few and more > asked.epochs else None  # fmt: skip


def batch_too_large(training: Training) -> Cause | None:
    """So many rows go into a step that there are hardly any steps."""
    asked = training.recipe.training
    a_step = asked.batch_size * asked.accumulation
    if a_step <= 16 or training.steps >= FEW_STEPS:
        return None
    evidence = max(_undertrained(training), 0.75 if training.steps < FEW_STEPS / 3 else 0.0)
    weight = off(min(FEW_STEPS / training.steps, a_step / 16), evidence)
    return Cause(
        "batch_too_large",
        weight,
        f"A step takes {a_step} of {training.rows} rows, so the whole run has {training.steps} "
        "steps.",
        (_learned(training),),
        "Set training.batch_size=16 and training.accumulation=1.",
        _to_learn(training),
        {"training.batch_size": 16, "training.accumulation": 1},
    ) if weight else None  # fmt: skip


def overfitting(training: Training) -> Cause | None:
    """The held-out loss rose far above its lowest while the training loss went to nothing."""
    curves, stopping = training.curves, training.recipe.stopping
    trained = curves.held[1:]
    if len(trained) < 3 or curves.not_a_number or curves.train[-1] > 0.6 * curves.train[0]:
        return None
    lowest = min(curves.held)
    rise = training.rose
    if rise < 1.15 or curves.train[-1] > 0.5 * curves.held[-1]:
        return None
    best, lora = curves.held.index(lowest), training.recipe.adapter.kind == "lora"
    return Cause(
        "overfitting",
        min(0.95, 0.35 + 0.7 * (rise - 1.15)),
        f"The held-out {training.measure} was lowest after epoch {best} and then rose to "
        f"{rise:.1f} times that, while the training loss fell to {curves.train[-1]:.3f}: the rows "
        "are learnt by heart.",
        (f"held-out loss {lowest:.3f} at epoch {best}, {curves.held[-1]:.3f} at the end",
         f"training loss {curves.train[0]:.3f}, then {curves.train[-1]:.3f}"),
        f"Train for {max(2, best + 1)} epochs"
        f"{' with fewer adapted layers and a smaller rank' * lora}, keep the best epoch, and stop "
        "early.",
        "a lower held-out loss and better confidence; accuracy usually by 0 to 3 points."
        if training.of_labels else f"at least {curves.held[-1] - lowest:.2f} nats a token.",
        {
            "training.epochs": max(2, min(best + 2, training.recipe.training.epochs)),
            "training.learning_rate": min(
                training.recipe.training.learning_rate, _usual_rate(training)
            ),
            "stopping.keep": "best",
            "stopping.patience": min(stopping.patience, 2),
        }
        | ({"adapter.dropout": max(training.recipe.adapter.dropout, 0.1)} if lora else {}),
    )  # fmt: skip


def stopped_early(training: Training) -> Cause | None:
    """Members gave up while they were still getting better."""
    stopping, asked = training.recipe.stopping, training.recipe.training
    stopped = [m for m in training.members if "for" in m["ended"] and "epochs" in m["ended"]
               and m["ended"] != "ran all epochs"]  # fmt: skip
    ran = len(training.curves.held) - 1
    if not stopped or stopping.patience > 2 or ran >= max(3, 0.6 * asked.epochs):
        return None
    better = (
        training.curves.held[-1] < training.curves.held[0]
        or training.curves.accuracy[-1] > (training.curves.accuracy[0])
    )
    weight = (
        off(5 / stopping.patience, 0.95 if better else 0.6) * len(stopped) / len(training.members)
    )
    return Cause(
        "stopped_early",
        weight,
        f"{len(stopped)} of {len(training.members)} member(s) stopped after {ran} of "
        f"{asked.epochs} epochs, because {stopped[0]['ended']}.",
        (f"held-out loss {training.curves.held[0]:.3f} at the start, "
         f"{training.curves.held[-1]:.3f} when it stopped",),
        "Set stopping.patience=5 and stopping.max_ratio=auto.",
        _to_learn(training),
        {"stopping.patience": 5, "stopping.max_ratio": "auto"},
    )  # fmt: skip


def regularization(training: Training) -> Cause | None:
    """Dropout, weight decay or the focal exponent keep the model from learning."""
    recipe = training.recipe
    dropout = recipe.adapter.dropout if recipe.adapter.kind == "lora" else 0.0
    strong = {
        "adapter.dropout": (dropout / 0.3, 0.0, dropout),
        "training.weight_decay": (
            recipe.training.weight_decay / 0.2, 0.01, recipe.training.weight_decay,
        ),
        "loss.gamma": (
            recipe.loss.gamma / 3 if recipe.training.loss == "focal" else 0, 2.0, recipe.loss.gamma,
        ),
    }  # fmt: skip
    found = {key: value for key, value in strong.items() if value[0] > 1}
    if not found:
        return None
    times = max(value[0] for value in found.values())
    said = ", ".join(f"{key}={given:g}" for key, (_, _, given) in found.items())
    return Cause(
        "regularization",
        min(0.9, off(times, 1.0) + 0.15),
        f"{said}: so much restraint keeps the model from learning what the rows say.",
        (_learned(training),),
        "Set " + ", ".join(f"{key}={usual:g}" for key, (_, usual, _) in found.items()) + ".",
        _to_learn(training),
        {key: usual for key, (_, usual, _) in found.items()},
    )


def _usual_rate(training: Training) -> float:
    kind = training.recipe.adapter.kind
    return BLANK_RATE if kind == "full" and training.blank else USUAL_RATE[kind]


def _undertrained(training: Training) -> float:
    """How plainly the curves say that too little was learnt, 0 to 1."""
    if training.curves.idle:
        return 1.0
    return max(0.8 if training.curves.falling else 0.0, training.underfit)


def _learned(training: Training) -> str:
    curves = training.curves
    train = f"training loss {curves.train[0]:.3f}" if curves.train else "no epoch"
    if len(curves.train) > 1:
        train += f" after epoch 1, {curves.train[-1]:.3f} after epoch {len(curves.train)}"
    held = f"held-out loss {curves.held[0]:.3f} at the start, {curves.held[-1]:.3f} at the end"
    return f"{train}; {held}"


def _to_learn(training: Training) -> str:
    """What is known of what a training without this fault would give."""
    if training.ahead > 0.02:
        return (
            f"at least {points(training.ahead)}: linear models on the frozen base, which need no "
            f"training, are right on {training.reference:.1%} of the held-out rows."
        )
    return "not known before it is tried: --test-cause measures it."
