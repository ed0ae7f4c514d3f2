"""Stage 2: divide the rows, so that what judges a model was never seen by it; add to them."""

from fucina.prepare.augment import Augmentation, LabelGrowth, augment
from fucina.prepare.phases import PhaseProgress, phase_progress
from fucina.prepare.split import split, thin

__all__ = [
    "Augmentation",
    "LabelGrowth",
    "PhaseProgress",
    "augment",
    "phase_progress",
    "split",
    "thin",
]
