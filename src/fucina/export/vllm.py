"""The command that serves what was exported with vLLM."""

import shlex
from collections.abc import Mapping
from pathlib import Path

__all__ = ["serve_command"]


def serve_command(base: str, adapters: Mapping[str, Path] | None = None, *, rank: int = 16) -> str:
    """Write the line for a POSIX shell that serves a merged model, or a base with adapters.

    Args:
        base: A hub id or a folder: that of the merged model, or of the adapters' base.
        adapters: What an adapter is asked for as, to its folder in the layout of PEFT.
        rank: The highest of the adapters' ranks.

    Example:
        >>> serve_command("merged model")
        "vllm serve 'merged model'"
        >>> serve_command("base", {"mail": Path("mail/adapter")})
        'vllm serve base --enable-lora --max-lora-rank 16 --lora-modules mail=mail/adapter'
    """
    words = ["vllm", "serve", base]
    if adapters:
        words += ["--enable-lora", "--max-lora-rank", str(rank), "--lora-modules"]
        words += [f"{name}={folder}" for name, folder in adapters.items()]
    return shlex.join(words)
