"""A folder with an ONNX export: what it says of itself, its words, its n-grams, its graph.

model.onnx            token ids and mask to the scores of every member
model.int8.onnx       the same in eight bits, where it was asked for and answers alike
fucina.json           labels, members, how they answer together
tokenizer.json        and its configuration
lexicon.json, lexical.safetensors     n-grams and their weights, where heads have them
sums.json             SHA-256 of all of them
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fucina.engines.onnx_graph import AGAIN, cores, open_graph, run_graph
from fucina.errors import ModelError
from fucina.models.lexical import Lexicon, Table
from fucina.models.sums import SUMS, damaged
from fucina.models.tokenize import Encoded, chunks_by_length

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

__all__ = [
    "FACTS",
    "FORMAT",
    "GRAPHS",
    "LEXICAL",
    "LEXICON",
    "Exported",
    "Facts",
    "Precision",
    "Words",
    "open_folder",
    "read_facts",
    "read_lexical",
]

Precision = Literal["float32", "int8"]
FACTS, LEXICON, LEXICAL = "fucina.json", "lexicon.json", "lexical.safetensors"
GRAPHS: Mapping[Precision, str] = {"float32": "model.onnx", "int8": "model.int8.onnx"}
FORMAT = 1
CHUNK_TOKENS = 192  # of a run; longer ones leave the cache of a core, and are half as quick


@dataclass(frozen=True)
class Facts:
    """What an export says of itself.

    Attributes:
        kind: What it does: `labels` for texts, or `spans` in them.
        names: The c labels, or the types of spans.
        members: k.
        how: How they answer together: `average` or `vote`.
        temperature: Divides the log of the probabilities; 1 changes nothing.
        threshold: The confidence below which no answer is given; 0 to answer all.
        max_length_tokens: Longer texts are cut.
        pad_id: The token that fills up.
        cut_side: Where texts that are too long are cut: `right` or `left`.
        special_as_text: Whether special tokens in a text are read as its letters.
        last: The last token of a word stands for it, else the first.
        lexical: Members with weights for n-grams; empty without.
        base: What it was trained from.
        precision: Of the frozen weights in training.
        fucina: The version that wrote it.
        format: Of this record.
    """

    kind: Literal["labels", "spans"]
    names: tuple[str, ...]
    members: int
    how: Literal["average", "vote"]
    temperature: float
    threshold: float
    max_length_tokens: int
    pad_id: int
    cut_side: str
    special_as_text: bool
    last: bool
    lexical: tuple[int, ...]
    base: str
    precision: str
    fucina: str
    format: int = FORMAT


class Words:
    """Remembers a tokenizer, and cuts as transformers does; called as one of its tokenizers.

    Args:
        path: Of tokenizer.json.
        facts: Where it cuts.

    Raises:
        ModelError: The file is not that of a tokenizer.
    """

    is_fast = True

    def __init__(self, path: Path, facts: Facts) -> None:
        from tokenizers import Tokenizer

        def read() -> "Tokenizer":
            made = Tokenizer.from_file(str(path))
            made.no_padding()
            made.no_truncation()
            made.encode_special_tokens = facts.special_as_text
            return made

        try:
            self._whole, self._cut = read(), read()
            # Two, because cutting is a state that another thread would see.
            self._cut.enable_truncation(facts.max_length_tokens, direction=facts.cut_side)
        except Exception as error:  # the library has no class of its own for what is wrong
            raise ModelError(f"{path} cannot be read ({error}).", fix=AGAIN) from error
        self.pad_token_id = facts.pad_id

    def __call__(
        self,
        texts: Sequence[str],
        *,
        add_special_tokens: bool = True,
        truncation: bool = False,
        max_length: int | None = None,  # noqa: ARG002 - known since it was opened
        return_offsets_mapping: bool = False,
    ) -> dict[str, list[Any]]:
        """Token ids of texts, and which characters each covers where asked for."""
        tokenizer = self._cut if truncation else self._whole
        rows = tokenizer.encode_batch(list(texts), add_special_tokens=add_special_tokens)
        found: dict[str, list[Any]] = {"input_ids": [row.ids for row in rows]}
        if return_offsets_mapping:
            found["offset_mapping"] = [row.offsets for row in rows]
        return found


@dataclass(frozen=True)
class Exported:
    """An opened export.

    Attributes:
        facts: What it says of itself.
        words: Its tokenizer.
        session: Its graph, which several threads may run at once.
        precision: Of the graph.
        lexicon: The n-grams; None without.
        tables: What they say, for each member; None without.
        threads: That compute at once; 0 for one a core.
    """

    facts: Facts
    words: Words
    session: "InferenceSession"
    precision: Precision
    lexicon: Lexicon | None
    tables: tuple[Table | None, ...]
    threads: int = 0

    @property
    def name(self) -> str:
        """What computes, for people."""
        return "onnx" if self.precision == "float32" else f"onnx {self.precision}"

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads or cores(), "onnx")

    def each_chunk(self, encoded: Encoded) -> "Iterator[tuple[np.ndarray, np.ndarray]]":
        """Run the graph over texts, in chunks of like length that are computed side by side.

        Args:
            encoded: All texts.

        Returns:
            Which b of them, and their scores: k x b x c, or k x b x L x c, in float64.
        """
        rows = np.arange(len(encoded))
        # The longest first, so that no core is left with a long one at the end.
        parts = chunks_by_length(encoded.lengths, rows, CHUNK_TOKENS)[::-1]

        def run(part: np.ndarray) -> np.ndarray:
            return run_graph(self.session, encoded, part, self.facts.pad_id)

        found = self._pool.map(run, parts) if len(parts) > 1 else map(run, parts)
        return zip(parts, found, strict=True)


def open_folder(
    folder: Path, kind: Literal["labels", "spans"] | None, precision: Precision | None, threads: int
) -> Exported:
    """Read an export whole, after its files were held against their sums.

    Args:
        folder: As it was written.
        kind: What it must do; None for either.
        precision: Which graph; None for that in eight bits where there is one.
        threads: That compute at once; 0 for one a core.

    Raises:
        ModelError: It is no export, does something else, or a file is missing, cut or changed.
        MissingExtraError: onnxruntime is not installed.
    """
    folder = Path(folder)
    if not (folder / FACTS).is_file() or not (folder / SUMS).is_file():
        raise ModelError(
            f"{folder} is no ONNX export: it has no {FACTS} or no {SUMS}.",
            fix="Name the folder that fucina export RUN --to onnx wrote.",
        )
    wrong = damaged(folder)
    if wrong:
        raise ModelError(
            f"{folder} is damaged: {', '.join(wrong)} missing, cut or changed since it was "
            "written.",
            fix=f"Copy it again, or: {AGAIN[0].lower()}{AGAIN[1:]}",
        )
    facts = read_facts(folder)
    if kind is not None and facts.kind != kind:
        does, other = ("labels texts", "open_labeller") if facts.kind == "labels" else (
            "marks spans", "open_marker")  # fmt: skip
        raise ModelError(f"the model in {folder} {does}.", fix=f"Open it with {other}.")
    chosen = precision or ("int8" if (folder / GRAPHS["int8"]).is_file() else "float32")
    if not (folder / GRAPHS[chosen]).is_file():
        raise ModelError(
            f"{folder} has no {GRAPHS[chosen]}.",
            fix="Open it with precision=float32; eight bits are written where they answer alike.",
        )
    lexicon, tables = read_lexical(folder, facts)
    session = open_graph(folder / GRAPHS[chosen])
    words = Words(folder / "tokenizer.json", facts)
    return Exported(facts, words, session, chosen, lexicon, tables, threads)


def read_facts(folder: Path) -> Facts:
    """What an export says of itself."""
    try:
        told = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if told["format"] > FORMAT:
            raise ModelError(
                f"{folder} was written by fucina {told['fucina']}, which is newer.",
                fix="Update fucina: pip install -U fucina.",
            )
        lists = {"names": tuple(told["names"]), "lexical": tuple(told["lexical"])}
        return Facts(**(told | lists))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{folder / FACTS} cannot be read ({error}).", fix=AGAIN) from error


def read_lexical(folder: Path, facts: Facts) -> tuple[Lexicon | None, tuple[Table | None, ...]]:
    """The n-grams, and what each member makes of them."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not facts.lexical:
        return None, ()
    try:
        lexicon = Lexicon(tuple(json.loads((folder / LEXICON).read_text(encoding="utf-8"))))
        read = load_file(folder / LEXICAL)
        tables = [
            Table(read[f"rarity.{member}"], read[f"weights.{member}"].astype(float))
            if member in facts.lexical
            else None
            for member in range(facts.members)
        ]
    except (ValueError, KeyError, OSError, SafetensorError) as error:
        raise ModelError(f"{folder / LEXICAL} cannot be read ({error}).", fix=AGAIN) from error
    return lexicon, tuple(tables)
