"""Ask a model behind an OpenAI-compatible endpoint, and read what it wrote."""

from fucina.endpoint.chat import Reply, converse
from fucina.endpoint.client import Endpoint
from fucina.endpoint.connection import Server, Sleep, UnansweredError, is_loopback, require_key
from fucina.endpoint.embeddings import embed
from fucina.endpoint.replies import json_values, read_named, read_rows

__all__ = [
    "Endpoint",
    "Reply",
    "Server",
    "Sleep",
    "UnansweredError",
    "converse",
    "embed",
    "is_loopback",
    "json_values",
    "read_named",
    "read_rows",
    "require_key",
]
