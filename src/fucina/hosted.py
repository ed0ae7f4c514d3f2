"""A run whose answers vLLM computes, in a process of its own that ends with the server."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import export, run, tasks
from fucina.endpoint import Server
from fucina.engines import Piece, Sampling
from fucina.engines.upstream import UpstreamTalker
from fucina.errors import MissingExtraError, ResourceError, RunError
from fucina.export.vllm import RANKS, serve_command
from fucina.records import Example
from fucina.served import Makings, facts_of

if TYPE_CHECKING:
    from typing import IO

    from fucina.config import Recipe
    from fucina.models.template import Template
    from fucina.serve import Served

__all__ = ["VllmTalker", "hosted_run"]

OWN = "vllm"  # folder in that of a run, with what vLLM must be told
PAUSE_S = 0.25
TELL_S = 10.0
END_S = 10.0  # that it may take to end by itself


@dataclass(frozen=True)
class VllmTalker:
    """Talks as a run does, through a server that has its adapter and its template.

    Attributes:
        upstream: That server.
        template: Says what stands before the first turn.
        context: Tokens of question and answer together, at most.
    """

    upstream: UpstreamTalker
    template: "Template"
    context: int

    @property
    def name(self) -> str:
        """What computes, for people."""
        return "vllm"

    def prompt_ids(self, example: Example) -> list[int]:
        """What the model reads to answer a row, as numbers of tokens."""
        return self.template.asked(example).tolist()

    def talk(self, example: Example, sampling: Sampling) -> Iterator[Piece]:
        """Answer the last turn of a conversation.

        Raises:
            DataError: It is too long.
            EndpointError: vLLM ended, or breaks off.
        """
        turns = self.template.conversation(example)
        return self.upstream.talk(replace(example, messages=tuple(turns)), sampling)

    def complete(self, prompt: str, sampling: Sampling) -> Iterator[Piece]:
        """Go on with a text as it stands."""
        return self.upstream.complete(prompt, sampling)


@contextmanager
def hosted_run(
    name: str, folder: Path, makings: Makings, *, load_s: float, say: Callable[[str], None]
) -> "Iterator[Served]":
    """Start vLLM for a run, wait until it is up, and end it in the end.

    Args:
        name: What requests call the run.
        folder: Of the run.
        makings: What it is made with.
        load_s: Seconds until it must be up.
        say: Shows messages: the command line, and that it is still loading.

    Raises:
        RunError: vLLM cannot compute what this run trained, or does not come up.
        ResourceError: There is no GPU.
    """
    recipe = run.read_recipe(folder)
    run.refuse_pickle(folder)
    _require_plain(name, recipe)
    port = _free_port()
    template, line, most = _line(name, folder, recipe, port)
    say(line)
    _require_machine(line)
    with _running(shlex.split(line)) as (process, log):
        _wait(process, log, f"http://127.0.0.1:{port}/health", load_s, say)
        server = Server(f"http://127.0.0.1:{port}/v1", name, "", timeout_s=600.0, retries=0)
        upstream = UpstreamTalker(server, "", recipe.chat.max_new_tokens)
        yield facts_of(name, folder, recipe, makings, VllmTalker(upstream, template, most))


def _require_plain(name: str, recipe: "Recipe") -> None:
    """Refuse what vLLM does not compute, or would compute otherwise.

    Raises:
        RunError: The run is of that kind.
    """
    from fucina.models import source

    adapter = recipe.adapter
    halves = source.has_halves(
        source.read_config(recipe.model.base, source.locate(recipe.model.base))
    )
    wrong = {
        f"answers with {tasks.of(recipe).answer}s": tasks.of(recipe).answer != "text",
        f"trained no adapter (adapter.kind: {adapter.kind})": adapter.kind != "lora",
        "has the lengths of DoRA": adapter.kind == "lora" and adapter.dora,
        f"has an adapter of rank {adapter.rank}, over {RANKS[-1]}": adapter.rank > RANKS[-1],
        f"has {recipe.folds.count} members that answer together": recipe.folds.count > 1,
        f"holds answers to {recipe.chat.constrain}": recipe.chat.constrain != "none",
        "has an encoder-decoder": halves,
    }
    for what, holds in wrong.items():
        if holds:
            raise RunError(
                f"{name} {what}, which vLLM does not serve.",
                fix="Serve it without engine=vllm, or what fucina export RUN --to merged wrote.",
            )


def _line(name: str, folder: Path, recipe: "Recipe", port: int) -> "tuple[Template, str, int]":
    """The template of a run, the command line that serves it, and how many tokens it reads.

    What vLLM reads beside the adapter is written into the run folder, so that the line works
    wherever that is.
    """
    from typing import cast

    from fucina.models import source
    from fucina.models.base import choose_template
    from fucina.models.saved import member_folder
    from fucina.opening import chat_of

    place = source.locate(recipe.model.base)
    tokenizer = source.read_tokenizer(recipe.model.base, place)
    template = cast("Template", choose_template(tokenizer, *chat_of(recipe, folder, halves=False)))
    own = folder.resolve() / OWN
    own.mkdir(exist_ok=True)
    run.write_text(own / "chat_template.jinja", export.standalone(template))
    run.write_json(own / "generation_config.json", {"eos_token_id": template.end_id})
    config = source.read_config(recipe.model.base, place)
    wanted = recipe.model.max_length_tokens + recipe.chat.max_new_tokens
    most = min(wanted, int(getattr(config, "max_position_embeddings", wanted)))
    line = serve_command(
        place, {name: member_folder(folder.resolve(), recipe, 0)}, rank=recipe.adapter.rank,
        template=own / "chat_template.jinja", ending=own, most_tokens=most, port=port,
    )  # fmt: skip
    return template, line, most


def _require_machine(line: str) -> None:
    """Refuse to start vLLM where it is not, or has nothing to compute with.

    Raises:
        RunError: There is none.
        ResourceError: There is no GPU.
    """
    fix = f"Serve it without engine=vllm, or where both are: {line}"
    if shutil.which("vllm") is None:
        raise RunError("engine=vllm: there is no program vllm on PATH.", fix=fix)
    import torch

    if not torch.cuda.is_available():
        raise ResourceError("engine=vllm: PyTorch finds no CUDA GPU.", fix=fix)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@contextmanager
def _running(words: Sequence[str]) -> "Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]":
    """A process with all that it starts itself, and what it says; it ends with the block."""
    with tempfile.TemporaryFile() as log:
        # Of its own session, so that Ctrl-C lets the server answer what it accepted first.
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield process, log
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
            if sys.platform == "win32":
                process.kill()
            else:
                with suppress(ProcessLookupError, PermissionError):  # nothing is left of it
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(
    process: "subprocess.Popen[bytes]", log: "IO[bytes]", url: str, load_s: float,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Wait until vLLM says that it is up.

    Raises:
        RunError: It ended, or takes too long.
    """
    try:
        import httpx2
    except ImportError as error:
        raise MissingExtraError("httpx2", extra="serve") from error

    began = told = time.monotonic()
    with httpx2.Client(timeout=5.0, trust_env=False) as client:
        while time.monotonic() - began < load_s:
            if process.poll() is not None:
                raise RunError(
                    f"vLLM ended with {process.returncode}: {_last(log)}",
                    fix="Mend what it says, or serve without engine=vllm.",
                )
            with suppress(httpx2.HTTPError):
                if client.get(url).is_success:
                    return
            if time.monotonic() - told > TELL_S:
                told = time.monotonic()
                say(f"vLLM is loading: {told - began:.0f} s")
            time.sleep(PAUSE_S)
    raise RunError(
        f"vLLM is not up after {load_s:g} s: {_last(log)}",
        fix="Give it longer: load_s=3600, or serve without engine=vllm.",
    )


def _last(log: Any) -> str:
    """The last that a program said."""
    log.seek(0)
    lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1][-300:] if lines else "it said nothing."
