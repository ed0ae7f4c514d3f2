"""Stage 2: divide the rows, so that what judges a model was never seen by it; add to them."""

from fucina.prepare.augment import Augmentation, Growth, augment
from fucina.prepare.case import Case
from fucina.prepare.phases import PhaseProgress, phase_progress
from fucina.prepare.split import split, thin

__all__ = [
    "Augmentation",
    "Case",
    "Growth",
    "PhaseProgress",
    "augment",
    "phase_progress",
    "split",
    "thin",
]
