"""Decoders as GGUF files, for llama.cpp and all that is built on it."""

from fucina.export.gguf.adapters import write_adapter
from fucina.export.gguf.kinds import KINDS
from fucina.export.gguf.layouts import FAMILIES
from fucina.export.gguf.writing import About, Written, write

__all__ = ["FAMILIES", "KINDS", "About", "Written", "write", "write_adapter"]
