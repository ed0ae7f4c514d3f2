"""Causes in what was trained: rank, modules, layers, the head alone, the base."""

from fucina.diagnose.case import Case
from fucina.diagnose.causes.weights import off, points
from fucina.diagnose.training import Training
from fucina.records import Cause

__all__ = [
    "base_unsuited",
    "cold_start",
    "no_word_forms",
    "rank_too_small",
    "too_little_adapted",
    "wrong_modules",
]

STRONG_PARTS = (
    "value",
    "v_proj",
    "out",
    "o_proj",
    "dense",
    "mlp",
    "up",
    "down",
    "gate",
    "c_",
    "fc",
)
CUT = 0.2  # share of texts


def rank_too_small(training: Training) -> Cause | None:
    """A small rank, where much of the training rows was not learnt."""
    adapter = training.recipe.adapter
    if adapter.kind != "lora" or adapter.rank > 16:
        return None
    labels = training.of_labels
    what = f"{labels} labels" if labels else "this way of answering"
    # Rank 16 is the usual one; it is named last, and only where it may really limit.
    times = max(32 / adapter.rank / 2, 1.1 if labels > adapter.rank / 2 else 0)
    # A head that began as the linear models end has learnt much without any adapter.
    cold = 0.5 if labels and training.recipe.training.start == "floor" else 1.0
    weight = off(times, 1.0) * max(training.underfit * cold, 0.7 * (adapter.rank <= 2))
    if adapter.rank == 16:
        weight *= 0.5 * (training.underfit > 0.5) * (training.recipe.training.start == "cold")
    if not weight:
        return None
    return Cause(
        "rank_too_small",
        weight,
        f"Adapters of rank {adapter.rank} are to learn {what}, and much of the "
        "training rows was not learnt." if training.underfit > 0.3 else
        f"Adapters of rank {adapter.rank} leave little room for {what}.",
        (f"training loss {training.curves.train[-1]:.3f} in the end, {training.before}",),
        "Set adapter.rank=32 and adapter.alpha=64.",
        "not known before it is tried: --test-cause measures it.",
        {"adapter.rank": 32, "adapter.alpha": 64.0},
    )  # fmt: skip


def wrong_modules(training: Training) -> Cause | None:
    """Adapters sit on a few linear layers only, those that change least."""
    given = training.recipe.adapter.target_modules
    if training.recipe.adapter.kind != "lora" or given == "all-linear":
        return None
    names = ("query", "key", "value") if given == "attention" else tuple(
        [given] if isinstance(given, str) else given
    )  # fmt: skip
    strong = sum(any(part in name for part in STRONG_PARTS) for name in names)
    evidence = max(
        training.underfit, 1.0 if training.curves.idle else 0.0, 0.75 if not strong else 0.0
    )
    weight = (0.9 if not strong else 0.6 if len(names) < 3 else 0.3) * evidence
    return Cause(
        "wrong_modules",
        weight,
        f"Adapters sit on {'attention' if given == 'attention' else ', '.join(names)} alone"
        + ("" if strong else ", which only steer where attention looks, not what is made of it")
        + ".",
        (f"training loss {training.curves.train[0]:.3f} after epoch 1, "
         f"{training.curves.train[-1]:.3f} in the end",),
        "Set adapter.target_modules=all-linear.",
        "not known before it is tried: --test-cause measures it.",
        {"adapter.target_modules": "all-linear"},
    )  # fmt: skip


def too_little_adapted(case: Case) -> Cause | None:
    """The base stays frozen, and a linear head cannot tell the labels apart."""
    adapter = case.recipe.adapter
    if adapter.kind != "head":
        return None
    evidence = max(case.training.underfit, 0.7)
    return Cause(
        "too_little_adapted",
        0.9 * evidence,
        "Only the head is trained; the base cannot adapt to these texts.",
        (f"training loss {case.training.curves.train[-1]:.3f} in the end",),
        "Set adapter.kind=lora and adapter.layers=2.",
        "not known before it is tried: --test-cause measures it.",
        {"adapter.kind": "lora", "adapter.layers": 2},
    )


def base_unsuited(case: Case) -> Cause | None:
    """The base's own vectors tell less than the letters of the texts."""
    frozen, letters = case.interval("frozen"), case.interval("characters")
    if frozen is None or letters is None:
        return None
    gap = letters.low - frozen.high  # what is left of it at the unlucky ends of both intervals
    if gap <= 0 or len(case.facts.get("truncated", [])) > CUT * len(case.development):
        return None  # where texts are cut, the base has not seen what the letters tell
    return Cause(
        "base_unsuited",
        min(0.9, 0.25 + 0.9 * gap),
        f"Vectors of {case.recipe.model.base} answer {frozen.value:.1%} of the test rows, n-grams "
        f"of letters {letters.value:.1%}: the base does not know this language or these words.",
        (f"baseline frozen {frozen}, baseline characters {letters}",),
        "Use a base that was trained on this language (model.base)"
        + ("." if case.by_words else ", keep model.lexical=true."),
        f"up to {points(letters.value - frozen.value)} on what the base adds.",
        {"adapter.layers": "all"} | ({} if case.by_words else {"model.lexical": True}),
    )


def no_word_forms(case: Case) -> Cause | None:
    """N-grams are switched off, and they alone are better than the model."""
    letters = case.baseline("characters")
    if case.recipe.model.lexical or letters is None or letters <= case.test_accuracy + 0.02:
        return None
    ahead = letters - case.test_accuracy
    return Cause(
        "no_word_forms",
        min(0.55, 0.3 + ahead),
        f"model.lexical is off, but n-grams of letters alone answer {letters:.1%} of the test rows "
        f"and the model {case.test_accuracy:.1%}.",
        (f"baseline characters {letters:.1%}",),
        "Set model.lexical=true.",
        f"about {points(ahead)}: the model then has both.",
        {"model.lexical": True},
    )


def cold_start(case: Case) -> Cause | None:
    """The head began from nothing, and the run was too short to make up for it."""
    if case.recipe.training.start != "cold" or case.training.underfit < 0.3:
        return None
    ahead = max(
        case.reference_accuracy - case.held_out_accuracy,
        *((case.baseline(name) or 0.0) - case.test_accuracy for name in ("frozen", "characters")),
    )
    if ahead < 0.02:
        return None
    return Cause(
        "cold_start",
        min(0.45, 0.2 + 0.5 * ahead) * case.training.underfit,
        "The head started from nothing, and linear models that need no training are better than "
        "what was reached.",
        (f"linear models are {points(ahead)} ahead on the same rows",),
        "Set training.start=floor: the head begins where the linear model ends.",
        f"about {points(ahead)}, what the linear models are ahead.",
        {"training.start": "floor"},
    )
