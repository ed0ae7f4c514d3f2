"""What keys that several tools share mean here, where it takes more than another name."""

from typing import Any

from fucina.export.handover import Meaning

__all__ = [
    "EVERYTHING",
    "answers_only",
    "eighths",
    "flag",
    "half",
    "optimizer",
    "quantized",
    "same",
    "share",
    "stopping",
]

NEVER = 1000  # epochs of patience: the training is never ended early
EVERYTHING = Meaning({"adapter.kind": "full", "adapter.layers": "all"})


def answers_only(value: Any) -> Meaning:
    """Whether what is asked is learnt too."""
    return Meaning(left="only answers are learnt here") if value else Meaning()


def half(value: Any) -> Meaning:
    """The older half precision."""
    return Meaning(left="of half precisions bfloat16 is used") if value else Meaning()


def same(value: Any) -> Meaning:
    """A way to save work that changes nothing which is learnt."""
    return Meaning(left="rows of like length run together instead") if value else Meaning()


def flag(setting: str, value: Any) -> Meaning:
    """A setting that is on or off."""
    return Meaning({setting: bool(value)})


def optimizer(value: Any) -> Meaning:
    """AdamW, in full precision or with moments in 8 bits, or something near it."""
    name = str(value)
    if name in ("adamw_torch_fused", "adamw_torch", "adamw_hf", "adamw"):
        return Meaning({"engine.optimizer": "adamw"})
    if name in ("adamw_8bit", "adamw_bnb_8bit"):
        return Meaning({"engine.optimizer": "adamw_8bit"})
    near = "adamw_8bit" if "8bit" in name and "adamw" in name else "adamw"
    return Meaning({"engine.optimizer": near}, guess=f"{name} became {near}, the nearest there is")


def quantized(value: Any) -> Meaning:
    """Frozen weights in four bits; eight are not kept here."""
    if value in (True, 4):
        return Meaning({"model.quantize": "nf4"})
    if value:
        return Meaning(left="the base is read in its own precision")
    return Meaning({"model.quantize": "none"})


def eighths(value: Any) -> Meaning:
    """Frozen weights in eight bits."""
    return Meaning(left="the base is read in its own precision") if value else Meaning()


def share(value: Any) -> Meaning:
    """Rows held out: a share, or how many."""
    if not value:
        return Meaning(left="none are held out there; here a share is, for validation and for test")
    if value >= 1:
        return Meaning(left=f"{value} rows; set data.validation_share to their share")
    return Meaning({"data.validation_share": value})


def stopping(value: Any) -> Meaning:
    """When a training ends early, and which state is kept."""
    if value:
        return Meaning({"stopping.patience": value})
    return Meaning({"stopping.patience": NEVER, "stopping.keep": "rollback"})
