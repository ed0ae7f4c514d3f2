"""Causes in how the weights were moved: rate, warm-up, epochs, steps, stopping, loss."""

from fucina.diagnose.case import Case
from fucina.diagnose.causes.weights import off, points
from fucina.records import Cause

__all__ = [
    "batch_too_large",
    "cold_start",
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
USUAL_EPOCHS = {"floor": 4, "cold": 8}
FEW_STEPS = 60
USUAL_SCALE = 2.0  # alpha / rank


def learning_rate_low(case: Case) -> Cause | None:
    """The rate, times the adapter's scale, is far below the usual one and little was learnt."""
    kind = case.recipe.adapter.kind
    given, adapter = case.recipe.training.learning_rate, case.recipe.adapter
    scale = min(1.0, adapter.alpha / adapter.rank / USUAL_SCALE) if kind == "lora" else 1.0
    times = USUAL_RATE[kind] / (given * scale)
    weight = off(times, _undertrained(case))
    if not weight:
        return None
    scaled = f" times alpha / rank = {adapter.alpha / adapter.rank:g}" if scale < 1 else ""
    changes = {"training.learning_rate": USUAL_RATE[kind]}
    if scale < 1:
        changes["adapter.alpha"] = USUAL_SCALE * adapter.rank
    return Cause(
        "learning_rate_low",
        weight,
        f"The learning rate {given:g}{scaled} is {times:.3g} times below the usual "
        f"{USUAL_RATE[kind]:g}, and the model learned little.",
        (_learned(case),),
        f"Set training.learning_rate={USUAL_RATE[kind]:g}.",
        _to_learn(case),
        changes,
    )


def learning_rate_high(case: Case) -> Cause | None:
    """The rate is far above the usual one, or the loss jumped instead of falling."""
    kind, curves = case.recipe.adapter.kind, case.curves
    given = case.recipe.training.learning_rate
    first = curves.held[1] if len(curves.held) > 1 else curves.held[0]
    jumped = first / curves.held[0] if curves.held[0] > 0 else 1.0
    harmed = curves.not_a_number > 0 or not jumped <= 1.2
    evidence = 1.0 if harmed else 0.9 if curves.rose > 1.3 else 0.3
    weight = off(given / HIGH_RATE[kind], evidence)
    if harmed and given > USUAL_RATE[kind] * 1.5:
        weight = max(weight, 0.7)
    if not weight:
        return None
    seen = [f"held-out loss {curves.held[0]:.3f} before training, {first:.3f} after one epoch"]
    if curves.not_a_number:
        seen.append(f"the loss was not a number in {curves.not_a_number} epoch(s)")
    return Cause(
        "learning_rate_high",
        weight,
        f"The learning rate {given:g} is {given / USUAL_RATE[kind]:.3g} times the usual "
        f"{USUAL_RATE[kind]:g}, and training made the model worse instead of better.",
        tuple(seen),
        f"Set training.learning_rate={USUAL_RATE[kind]:g} and training.warmup=0.1.",
        _to_learn(case),
        {"training.learning_rate": USUAL_RATE[kind], "training.warmup": 0.1},
    )


def warmup(case: Case) -> Cause | None:
    """The warm-up takes most of the run, or is missing where the first epoch did harm."""
    given, steps, curves = case.recipe.training.warmup, case.steps, case.curves
    wanted = given * steps if given < 1 else given
    share = wanted / max(1, steps)
    if share > 0.3:
        evidence = max(_undertrained(case), 0.7 if share >= 1 else 0.0)
        reached = min(1.0, 1 / share)
        return Cause(
            "warmup_too_long",
            min(0.97, off(share / 0.1, 1.0) + 0.02) * evidence,
            f"The warm-up of {wanted:.0f} steps takes {min(1.0, share):.0%} of the run of {steps} "
            f"steps; the learning rate reaches {reached:.0%} of its peak.",
            (_learned(case),),
            "Set training.warmup=0.1, a tenth of the run.",
            _to_learn(case),
            {"training.warmup": 0.1},
        )
    jumped = len(curves.held) > 1 and curves.held[1] > 1.2 * curves.held[0]
    if wanted >= 1 or not jumped:
        return None
    return Cause(
        "warmup_missing",
        0.5,
        f"There is no warm-up, and the first epoch made the held-out loss "
        f"{curves.held[1] / curves.held[0]:.1f} times as large.",
        (f"held-out loss {curves.held[0]:.3f}, then {curves.held[1]:.3f}",),
        "Set training.warmup=0.1.",
        _to_learn(case),
        {"training.warmup": 0.1},
    )


def too_few_epochs(case: Case) -> Cause | None:
    """The run ended while the held-out loss was still falling, or with much left to learn."""
    training, curves = case.recipe.training, case.curves
    usual = USUAL_EPOCHS[training.start]
    ended = all(m["ended"] == "ran all epochs" for m in case.facts["members"])
    if not ended or curves.rose > 1.1:
        return None
    evidence = max(0.9 if curves.falling else 0.0, case.underfit)
    few = off(usual / training.epochs, evidence)
    if training.epochs >= usual and curves.falling:
        fall = 1 - curves.held[-1] / curves.held[-2]
        few = 0.3 + min(0.25, 2 * fall) if fall > 0.05 else 0.0
    more = max(usual, 2 * training.epochs)
    return Cause(
        "too_few_epochs",
        few,
        f"The run ended after {training.epochs} epoch(s), {case.steps} steps, with more to learn.",
        (_learned(case),),
        f"Set training.epochs={more}; early stopping ends it when nothing is gained.",
        _to_learn(case),
        {"training.epochs": more},
    ) if few else None  # fmt: skip


def batch_too_large(case: Case) -> Cause | None:
    """So many rows go into a step that there are hardly any steps."""
    training = case.recipe.training
    a_step = training.batch_size * training.accumulation
    if a_step <= 16 or case.steps >= FEW_STEPS:
        return None
    evidence = max(_undertrained(case), 0.75 if case.steps < FEW_STEPS / 3 else 0.0)
    weight = off(min(FEW_STEPS / case.steps, a_step / 16), evidence)
    return Cause(
        "batch_too_large",
        weight,
        f"A step takes {a_step} of {case.train_rows} rows, so the whole run has {case.steps} "
        "steps.",
        (_learned(case),),
        "Set training.batch_size=16 and training.accumulation=1.",
        _to_learn(case),
        {"training.batch_size": 16, "training.accumulation": 1},
    ) if weight else None  # fmt: skip


def cold_start(case: Case) -> Cause | None:
    """The head began from nothing, and the run was too short to make up for it."""
    if case.recipe.training.start != "cold" or case.underfit < 0.3:
        return None
    ahead = max(
        _reference_accuracy(case) - case.held_out_accuracy,
        *((case.baseline(name) or 0.0) - case.test_accuracy for name in ("frozen", "characters")),
    )
    if ahead < 0.02:
        return None
    return Cause(
        "cold_start",
        min(0.45, 0.2 + 0.5 * ahead) * case.underfit,
        "The head started from nothing, and linear models that need no training are better than "
        "what was reached.",
        (f"linear models are {points(ahead)} ahead on the same rows",),
        "Set training.start=floor: the head begins where the linear model ends.",
        f"about {points(ahead)}, what the linear models are ahead.",
        {"training.start": "floor"},
    )


def overfitting(case: Case) -> Cause | None:
    """The held-out loss rose far above its lowest while the training loss went to nothing."""
    curves, stopping = case.curves, case.recipe.stopping
    trained = curves.held[1:]
    if len(trained) < 3 or curves.not_a_number or curves.train[-1] > 0.6 * curves.train[0]:
        return None
    lowest = min(curves.held)
    rise = curves.held[-1] / lowest if lowest > 0 else 1.0
    if rise < 1.15 or curves.train[-1] > 0.5 * curves.held[-1]:
        return None
    best = curves.held.index(lowest)
    return Cause(
        "overfitting",
        min(0.95, 0.35 + 0.7 * (rise - 1.15)),
        f"The held-out loss was lowest after epoch {best} and then rose to {rise:.1f} times that, "
        f"while the training loss fell to {curves.train[-1]:.3f}: the rows are learnt by heart.",
        (f"held-out loss {lowest:.3f} at epoch {best}, {curves.held[-1]:.3f} at the end",
         f"training loss {curves.train[0]:.3f}, then {curves.train[-1]:.3f}"),
        f"Train for {max(2, best + 1)} epochs with fewer adapted layers and a smaller rank, keep "
        "the best epoch, and stop early.",
        "a lower held-out loss and better confidence; accuracy usually by 0 to 3 points.",
        {
            "training.epochs": max(2, min(best + 2, case.recipe.training.epochs)),
            "training.learning_rate": min(
                case.recipe.training.learning_rate, USUAL_RATE[case.recipe.adapter.kind]
            ),
            "stopping.keep": "best",
            "stopping.patience": min(stopping.patience, 2),
            "adapter.dropout": max(case.recipe.adapter.dropout, 0.1),
        },
    )  # fmt: skip


def stopped_early(case: Case) -> Cause | None:
    """Members gave up while they were still getting better."""
    stopping, training = case.recipe.stopping, case.recipe.training
    stopped = [m for m in case.facts["members"] if "for" in m["ended"] and "epochs" in m["ended"]
               and m["ended"] != "ran all epochs"]  # fmt: skip
    ran = len(case.curves.held) - 1
    if not stopped or stopping.patience > 2 or ran >= max(3, 0.6 * training.epochs):
        return None
    better = (
        case.curves.held[-1] < case.curves.held[0]
        or case.curves.accuracy[-1] > (case.curves.accuracy[0])
    )
    weight = (
        off(5 / stopping.patience, 0.95 if better else 0.6)
        * len(stopped)
        / len(case.facts["members"])
    )
    return Cause(
        "stopped_early",
        weight,
        f"{len(stopped)} of {len(case.facts['members'])} member(s) stopped after {ran} of "
        f"{training.epochs} epochs, because {stopped[0]['ended']}.",
        (f"held-out loss {case.curves.held[0]:.3f} at the start, {case.curves.held[-1]:.3f} when "
         "it stopped",),
        "Set stopping.patience=5 and stopping.max_ratio=auto.",
        _to_learn(case),
        {"stopping.patience": 5, "stopping.max_ratio": "auto"},
    )  # fmt: skip


def regularization(case: Case) -> Cause | None:
    """Dropout, weight decay or the focal exponent keep the model from learning."""
    recipe = case.recipe
    strong = {
        "adapter.dropout": (recipe.adapter.dropout / 0.3, 0.0, recipe.adapter.dropout),
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
        (_learned(case),),
        "Set " + ", ".join(f"{key}={usual:g}" for key, (_, usual, _) in found.items()) + ".",
        _to_learn(case),
        {key: usual for key, (_, usual, _) in found.items()},
    )


def _undertrained(case: Case) -> float:
    """How plainly the curves say that too little was learnt, 0 to 1."""
    if case.curves.idle:
        return 1.0
    return max(0.8 if case.curves.falling else 0.0, case.underfit)


def _learned(case: Case) -> str:
    curves = case.curves
    train = f"training loss {curves.train[0]:.3f}" if curves.train else "no epoch"
    if len(curves.train) > 1:
        train += f" after epoch 1, {curves.train[-1]:.3f} after epoch {len(curves.train)}"
    held = f"held-out loss {curves.held[0]:.3f} at the start, {curves.held[-1]:.3f} at the end"
    return f"{train}; {held}"


def _reference_accuracy(case: Case) -> float:
    answers = case.reference.answers
    pairs = zip(answers.answers, answers.targets, strict=True)
    return sum(a == t for a, t in pairs) / max(1, len(answers.targets))


def _to_learn(case: Case) -> str:
    """What is known of what a training without this fault would give."""
    ahead = _reference_accuracy(case) - case.held_out_accuracy
    if ahead > 0.02:
        return (
            f"at least {points(ahead)}: linear models on the frozen base, which need no training, "
            f"are right on {_reference_accuracy(case):.1%} of the held-out rows."
        )
    return "not known before it is tried: --test-cause measures it."
