"""What computes the answers of a trained model: this program's own torch, or another's runtime.

An engine is opened from what lies on a disk or behind an address, and answers one call. Whatever
serves it or holds it against another one does not know which it is.
"""

from fucina.engines.interface import Labeller, Marks, Piece, Sampling, Talker

__all__ = ["Labeller", "Marks", "Piece", "Sampling", "Talker"]
