"""Write a checkpoint as one GGUF file."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fucina.errors import ModelError, ResourceError
from fucina.export.gguf.checkpoint import Checkpoint, open_checkpoint
from fucina.export.gguf.kinds import MADE_BY_LLAMA, by_llama, kind_of, packed, place, require
from fucina.export.gguf.layouts import Layout, layout_of
from fucina.export.gguf.vocabulary import Vocabulary, read_vocabulary
from fucina.records import Progress, silent

__all__ = ["About", "Written", "names_of", "put", "replacing", "write"]


@dataclass(frozen=True)
class About:
    """What a file says of itself.

    Attributes:
        name: Of the model.
        license: As in https://spdx.org/licenses; empty for that of the folder's README.
        base: What it was trained from.
        description: One sentence.
    """

    name: str = ""
    license: str = ""
    base: str = ""
    description: str = ""


@dataclass(frozen=True)
class Written:
    """A GGUF file.

    Attributes:
        path: Where it is.
        kind: Its type: `Q8_0`.
        size_bytes: Of the file.
        types: Type to how many tensors have it.
        template: The chat template in it.
        end: The token that ends an answer.
        adds_begin: Whether llama.cpp puts the first token before a prompt, not the template.
        context: Tokens it reads at most.
        notes: What a person should know.
    """

    path: Path
    kind: str
    size_bytes: int
    types: Mapping[str, int]
    template: str
    end: str
    adds_begin: bool
    context: int
    notes: tuple[str, ...] = ()


def write(
    folder: Path,
    out: Path,
    kind: str = "Q8_0",
    *,
    about: About | None = None,
    template: str | None = None,
    progress: Progress = silent,
) -> Written:
    """Write a checkpoint as one GGUF file; equal checkpoints give equal files.

    Args:
        folder: As `save_pretrained` writes it, with its tokenizer.
        out: The file, which is replaced.
        kind: One of `KINDS`.
        about: What it says of itself.
        template: Jinja; None for the tokenizer's own, or else ChatML.
        progress: Told after each tensor.

    Raises:
        ModelError: The network or its tokenizer is not proved with llama.cpp.
        MissingExtraError: A library is not installed.
        ResourceError: The disk is full.
    """
    require()
    kind = kind_of(kind)
    checkpoint = open_checkpoint(folder)
    layout = layout_of(checkpoint.config)
    words = read_vocabulary(folder, layout.facts["vocab_size"], template)
    about = _complete(about or About(), folder)
    with replacing(out) as beside:
        if kind in MADE_BY_LLAMA:
            whole = beside.with_suffix(".whole")
            try:
                _write(whole, checkpoint, layout, words, about, checkpoint.precision, progress)
                by_llama(whole, beside, kind)
            finally:
                whole.unlink(missing_ok=True)
        else:
            _write(beside, checkpoint, layout, words, about, kind, progress)
        types = _types(beside)
    notes = (*layout.notes, *words.notes, *_finer(checkpoint, types, kind))
    return Written(
        out, kind, out.stat().st_size, types, words.template, words.end,
        words.facts["add_bos_token"], layout.facts["context_length"], notes,
    )  # fmt: skip


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside a file, which takes the place of the file once it is whole.

    Args:
        path: The file.

    Raises:
        ResourceError: The disk is full or read-only; nothing is left behind.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise ResourceError(
            f"cannot write {path}: {error.strerror or error}.",
            fix="Free disk space, or give another folder.",
        ) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _complete(about: About, folder: Path) -> About:
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    found = re.match(r"---\n(?:.*\n)*?license:\s*(\S+)\s*\n(?:.*\n)*?---", text)
    license_ = about.license or (found[1] if found else "")
    return About(about.name or folder.resolve().name, license_, about.base, about.description)


def _write(
    path: Path,
    checkpoint: Checkpoint,
    layout: Layout,
    words: Vocabulary,
    about: About,
    kind: str,
    progress: Progress,
) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, layout.arch)
    try:
        _describe(writer, about, kind)
        for name, value in layout.facts.items():
            put(writer, f"{layout.arch}.{name}", value)
        put(writer, "tokenizer.ggml.model", words.model)
        put(writer, "tokenizer.ggml.tokens", list(words.tokens))
        writer.add_token_types(words.types)
        for name, value in words.facts.items():
            put(writer, f"tokenizer.ggml.{name}", value)
        writer.add_chat_template(words.template)
        names = names_of(checkpoint, layout)
        shapes = {own: _shape(checkpoint, layout, name) for own, name in names.items()}
        shapes |= {own: tensor.shape for own, tensor in layout.more.items()}
        for own, shape in shapes.items():
            place(writer, own, shape, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for done, own in enumerate(shapes, start=1):  # one after another: only one is in memory
            name = names.get(own)
            tensor = layout.more[own] if name is None else layout.change(
                name, checkpoint.read(name)
            )  # fmt: skip
            writer.write_tensor_data(packed(own, tensor, kind))
            progress("writing tensors", done, len(shapes))
    finally:
        writer.close()


def _describe(writer: Any, about: About, kind: str) -> None:
    import gguf

    writer.add_type("model")
    for key, value in (
        ("name", about.name), ("license", about.license), ("description", about.description),
    ):  # fmt: skip
        put(writer, f"general.{key}", value)
    if about.base:
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, about.base)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    name = "ALL_F32" if kind == "F32" else f"MOSTLY_{kind}"
    writer.add_file_type(gguf.LlamaFileType[name])


def put(writer: Any, key: str, value: Any) -> None:
    """Write one fact; whole numbers are unsigned, as llama.cpp reads them.

    Args:
        writer: Of gguf.
        key: Of the fact.
        value: A number, a text, or a list of one of them.
    """
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def names_of(checkpoint: Checkpoint, layout: Layout) -> dict[str, str]:
    """Name in the file to name in the checkpoint.

    Args:
        checkpoint: What is written.
        layout: As llama.cpp wants it.

    Raises:
        ModelError: llama.cpp knows no such tensor.
    """
    import gguf

    known = {text: number for number, text in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(known[layout.arch], layout.layers)
    found: dict[str, str] = {}
    for name in checkpoint.shapes:
        tied = name == "lm_head.weight" and checkpoint.config.get("tie_word_embeddings")
        if tied or any(part in name for part in layout.skip):
            continue
        own = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if own is None:
            raise ModelError(
                f"llama.cpp's network of the family {layout.arch} has no place for {name}.",
                fix="Export it merged, so that no adapter and no head is beside the weights.",
            )
        found[own] = name
    missing = {"token_embd.weight", "output_norm.weight"} - {*found}
    if missing:
        raise ModelError(
            f"the checkpoint has no {min(missing)}.", fix="Give the whole model that writes."
        )
    return found


def _shape(checkpoint: Checkpoint, layout: Layout, name: str) -> tuple[int, ...]:
    """The shape that a tensor of the checkpoint has in the file."""
    return layout.change(name, np.zeros(checkpoint.shapes[name], dtype=np.float32)).shape


def _types(path: Path) -> dict[str, int]:
    """Type to how many tensors have it, as the file says."""
    import gguf

    counted = Counter(tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors)
    return dict(counted.most_common())


def _finer(checkpoint: Checkpoint, types: Mapping[str, int], kind: str) -> Iterator[str]:
    """Say what became of matrices too narrow for a type."""
    block = 256 if kind in MADE_BY_LLAMA else 32
    if kind in ("F32", "F16", "BF16"):
        return
    widths = {shape[-1] for shape in checkpoint.shapes.values() if len(shape) == 2}
    narrow = sorted(width for width in widths if width % block)
    if narrow:
        yield (
            f"{kind} wants widths that are multiples of {block}; {', '.join(map(str, narrow))} "
            f"are not, so that the file has these types: "
            f"{', '.join(f'{name} ({count})' for name, count in types.items())}"
        )
