"""Rows divided: into those that a model learns from, and those that it is judged on."""

from dataclasses import dataclass

from fucina.records.rows import Dataset

__all__ = ["Fold", "Split"]


@dataclass(frozen=True)
class Fold:
    """Which development rows one member learns from, and which are held out for it."""

    train: tuple[int, ...]
    held_out: tuple[int, ...]


@dataclass(frozen=True)
class Split:
    """Rows for development, divided into folds, and rows that no training ever sees.

    A plain run is one fold whose `held_out` is the validation set; K-fold is K of them.
    """

    development: Dataset
    test: Dataset
    folds: tuple[Fold, ...]
    labels: tuple[str, ...]
