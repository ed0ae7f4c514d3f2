"""Stage 2: divide the rows, so that what judges a model was never seen by it."""

from fucina.prepare.split import split

__all__ = ["split"]
