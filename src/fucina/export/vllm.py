"""The command that serves with vLLM what was exported, or a run as it is."""

import shlex
from collections.abc import Mapping
from pathlib import Path

__all__ = ["RANKS", "serve_command"]

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM makes room for


def serve_command(
    base: str,
    adapters: Mapping[str, Path] | None = None,
    *,
    rank: int = 16,
    template: Path | None = None,
    ending: Path | None = None,
    most_tokens: int | None = None,
    port: int | None = None,
) -> str:
    """Write the line for a POSIX shell that serves a merged model, or a base with adapters.

    Args:
        base: A hub id or a folder: that of the merged model, or of the adapters' base.
        adapters: What an adapter is asked for as, to its folder in the layout of PEFT.
        rank: The highest of the adapters' ranks.
        template: File of the chat template; None for that of the base.
        ending: Folder of a generation_config.json, which says what ends an answer; None for that
            of the base.
        most_tokens: Of question and answer together; None for what the base reads.
        port: Where it listens, for this machine alone; None for what vLLM does by itself.

    Example:
        >>> serve_command("merged model")
        "vllm serve 'merged model'"
        >>> serve_command("base", {"mail": Path("mail/adapter")}, rank=10)
        'vllm serve base --enable-lora --max-lora-rank 16 --lora-modules mail=mail/adapter'
        >>> serve_command("base", template=Path("t.jinja"), port=8001)
        'vllm serve base --chat-template t.jinja --host 127.0.0.1 --port 8001'
    """
    words = ["vllm", "serve", base]
    if adapters:
        room = next((known for known in RANKS if known >= rank), rank)
        words += ["--enable-lora", "--max-lora-rank", str(room), "--lora-modules"]
        words += [f"{name}={folder}" for name, folder in adapters.items()]
    for flag, value in (("--chat-template", template), ("--generation-config", ending),
                        ("--max-model-len", most_tokens)):  # fmt: skip
        words += [] if value is None else [flag, str(value)]
    words += [] if port is None else ["--host", "127.0.0.1", "--port", str(port)]
    return shlex.join(words)
