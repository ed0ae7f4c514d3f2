"""The texts of a recipe as tokens: made once, found again, refused where they changed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina import run
from fucina.errors import DataError
from fucina.pretrain.corpus import documents, texts_for_words
from fucina.pretrain.shards import Shard, digest, open_shards, write_shards
from fucina.records import Progress, silent

if TYPE_CHECKING:
    from fucina.pretrain.settings import PretrainRecipe

__all__ = ["HeldOut", "Texts", "prepare"]

INDEX = "index.json"
END = 0  # <|endoftext|>, behind each document


@dataclass(frozen=True)
class HeldOut:
    """A text to judge on.

    Attributes:
        name: Of its file.
        language: As the recipe says.
        domain: As the recipe says.
        tokens: Its ids.
        bytes: Of the text in UTF-8.
    """

    name: str
    language: str
    domain: str
    tokens: np.ndarray
    bytes: int


@dataclass(frozen=True)
class Texts:
    """All texts of a recipe as tokens.

    Attributes:
        tokenizer: Of transformers.
        shards: What is learnt, piece by piece.
        tokens: The ids of each piece.
        held_out: What is judged.
    """

    tokenizer: Any
    shards: tuple[Shard, ...]
    tokens: tuple[np.ndarray, ...]
    held_out: tuple[HeldOut, ...]


def prepare(
    recipe: "PretrainRecipe", root: Path, folder: Path, *, progress: Progress = silent
) -> Texts:
    """Learn words and turn all texts into tokens, unless the same was done before.

    Args:
        recipe: Which texts, and how many words.
        root: The folder that paths in the recipe are relative to.
        folder: Where words and pieces of tokens are kept.
        progress: Shows steps.

    Raises:
        DataError: A text cannot be read, or a piece of tokens is not what was written.
    """
    sums = _sums(recipe, root)
    index = folder / INDEX
    if not index.is_file() or run.read_json(index)["texts"] != sums:
        _make(recipe, root, folder, sums, progress)
    found = run.read_json(index)
    tokenizer = _read_words(folder, found["words"])
    shards = tuple(Shard(**facts) for facts in found["shards"])
    judged = tuple(Shard(**facts) for facts in found["held_out"])
    arrays = open_shards(folder, [*shards, *judged])
    held = tuple(
        HeldOut(
            Path(recipe.corpus[shard.source].path).name.partition(".")[0],
            recipe.corpus[shard.source].language,
            recipe.corpus[shard.source].domain,
            tokens,
            shard.bytes,
        )
        for shard, tokens in zip(judged, arrays[len(shards) :], strict=True)
    )
    return Texts(tokenizer, shards, tuple(arrays[: len(shards)]), held)


def _sums(recipe: "PretrainRecipe", root: Path) -> dict[str, Any]:
    """What the tokens depend on: the sums of all files, and how words are learnt."""
    files: dict[str, str] = {}
    for corpus in recipe.corpus:
        for name in filter(None, (corpus.path, corpus.held_out)):
            if not (root / name).is_file():
                raise DataError(f"no corpus {root / name}.", fix="Check the path of corpus:.")
            files[name] = digest(root / name)
    return {"files": files, "words": recipe.words.model_dump(), "seed": recipe.seed}


def _make(
    recipe: "PretrainRecipe",
    root: Path,
    folder: Path,
    sums: Mapping[str, Any],
    progress: Progress,
) -> None:
    from fucina.models.scratch import tokenizer_of

    folder.mkdir(parents=True, exist_ok=True)
    progress("learning words", 0, 0)
    files = [(corpus.language, root / corpus.path) for corpus in recipe.corpus]
    tokenizer = tokenizer_of(
        texts_for_words(files, recipe.words.characters),
        vocabulary=recipe.words.vocabulary,
        longest=recipe.network.context,
    )
    tokenizer.save_pretrained(folder / "words")

    def write(messages: list[dict[str, str]]) -> str:
        return tokenizer.apply_chat_template(messages, tokenize=False)

    shards: dict[str, list[Shard]] = {"shards": [], "held_out": []}
    for number, corpus in enumerate(recipe.corpus):
        places = {"shards": (corpus.path, ""), "held_out": (corpus.held_out, "held_out_")}
        for kind, (name, prefix) in places.items():
            if name is not None:
                shards[kind] += write_shards(
                    folder, documents(root / name, write), tokenizer.backend_tokenizer,
                    source=number, end=END, prefix=prefix, progress=progress,
                )  # fmt: skip
    run.write_json(
        folder / INDEX,
        {
            "texts": sums,
            "words": _digest_words(folder),
            **{kind: [asdict(shard) for shard in found] for kind, found in shards.items()},
        },
    )


def _digest_words(folder: Path) -> str:
    """Of the words alone: other files of a tokenizer may be written otherwise by other releases."""
    made = json.loads((folder / "words" / "tokenizer.json").read_text(encoding="utf-8"))
    return hashlib.sha256(json.dumps(made["model"], sort_keys=True).encode()).hexdigest()


def _read_words(folder: Path, expected: str) -> Any:
    from transformers import AutoTokenizer

    try:
        same = _digest_words(folder) == expected
    except (OSError, ValueError, KeyError):
        same = False
    if not same:
        raise DataError(
            f"the words in {folder / 'words'} are not those that the pieces of tokens were made "
            "with.",
            fix=f"Delete {folder} and start again: it is made anew from the texts.",
        )
    return AutoTokenizer.from_pretrained(folder / "words", local_files_only=True)
