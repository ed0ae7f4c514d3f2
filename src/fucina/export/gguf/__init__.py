"""Decoders as GGUF files, for llama.cpp and all that is built on it."""

from fucina.export.gguf.adapters import write_adapter
from fucina.export.gguf.kinds import KINDS
from fucina.export.gguf.layouts import FAMILIES
from fucina.export.gguf.proof import Trained, check_weights, facts_of, prove, trained_on
from fucina.export.gguf.writing import About, Written, write

__all__ = [
    "FAMILIES",
    "KINDS",
    "About",
    "Trained",
    "Written",
    "check_weights",
    "facts_of",
    "prove",
    "trained_on",
    "write",
    "write_adapter",
]
