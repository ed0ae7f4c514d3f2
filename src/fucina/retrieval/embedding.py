"""Vectors of passages and of questions, by a model here or behind an endpoint."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.config import ModelConfig
from fucina.errors import ModelError

if TYPE_CHECKING:
    from fucina.config import IndexConfig

__all__ = ["Embedder", "open_embedder"]

MARGIN = 8  # tokens that a tokenizer adds around a text
BENDS = {"Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid"}  # of Dense layers
EMBEDDED = "favilla-encoder"  # counts tokens where the model's own tokenizer is elsewhere


@dataclass(frozen=True)
class Embedder:
    """What makes vectors.

    Attributes:
        name: Of the model.
        fingerprint: Another model has another; vectors of two cannot be compared.
        tokenizer: Counts tokens, a `tokenizers.Tokenizer`.
        passages: n texts to n x d, each of length 1.
        questions: The same for questions, which some models want to begin otherwise.
    """

    name: str
    fingerprint: str
    tokenizer: Any
    passages: Callable[[Sequence[str]], np.ndarray]
    questions: Callable[[Sequence[str]], np.ndarray]


@contextmanager
def open_embedder(config: "IndexConfig", key: str = "") -> Iterator[Embedder]:
    """Open the model that an index is made with.

    Args:
        config: Which one, and how long chunks are.
        key: Of the endpoint, where it is behind one.

    Raises:
        ModelError: It cannot be had.
        EndpointError: The endpoint does not embed.
    """
    if config.embedder_url is not None:
        yield _remote(config, key)
        return
    from fucina.models import base as bases
    from fucina.models import features, threads

    settings = ModelConfig(base=config.embedder, max_length_tokens=config.chunk_tokens + MARGIN)
    base = bases.load(settings)
    told = _prompts(config.embedder)
    dense = _dense(config.embedder)

    with threads.start() as pool:

        def embed(texts: Sequence[str], begin: str) -> np.ndarray:
            if not texts:
                return np.zeros((0, base.width), dtype=np.float32)
            asked = [begin + text for text in texts]
            made = features.vectors_of(base, pool, asked, normed=dense is _same)
            return _unit(dense(made))

        yield Embedder(
            config.embedder,
            _mixed(base.fingerprint, base.pooling, *told, str(dense is not _same)),
            _counter(base.tokenizer),
            lambda texts: embed(texts, told[1]),
            lambda texts: embed(texts, told[0]),
        )


def _counter(tokenizer: Any) -> Any:
    """The inner tokenizer as it counts whole texts: a file may say to cut or to pad."""
    from tokenizers import Tokenizer

    counter = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    counter.no_truncation()
    counter.no_padding()
    return counter


def _same(vectors: np.ndarray) -> np.ndarray:
    return vectors


def _beside(name: str, file: str) -> Path | None:
    from fucina.models.source import beside, locate

    return beside(locate(name), file)


def _prompts(name: str) -> tuple[str, str]:
    """What stands before questions and before passages, as sentence-transformers writes it."""
    path = _beside(name, "config_sentence_transformers.json")
    told = json.loads(path.read_text(encoding="utf-8")).get("prompts", {}) if path else {}
    passage = told.get("document", told.get("passage", ""))
    return str(told.get("query", "")), str(passage)


def _dense(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """The layers that a sentence-transformers model has after pooling, where it has some.

    Raises:
        ModelError: It has a part that this project does not know.
    """
    path = _beside(name, "modules.json")
    if path is None:
        return _same
    layers: list[Callable[[np.ndarray], np.ndarray]] = []
    for module in json.loads(path.read_text(encoding="utf-8")):
        kind = module["type"].rpartition(".")[2]
        if kind == "Dense":
            layers.append(_layer(name, module["path"]))
        elif kind == "Normalize":
            layers.append(_unit)
        elif kind not in {"Transformer", "Pooling"}:
            raise _unknown(name, f"a part {kind}")

    def through(vectors: np.ndarray) -> np.ndarray:
        for layer in layers:
            vectors = layer(vectors)
        return vectors

    # All vectors get the same length in the end, so that this alone changes nothing.
    return through if any(layer is not _unit for layer in layers) else _same


def _layer(name: str, folder: str) -> Callable[[np.ndarray], np.ndarray]:
    """A product with a matrix, a bias where there is one, and what bends it."""
    import torch
    from safetensors.torch import load_file

    settings = _beside(name, f"{folder}/config.json")
    weights = _beside(name, f"{folder}/model.safetensors")
    if settings is None or weights is None:
        raise ModelError(
            f"{name}: {folder} has no config.json with model.safetensors.",
            fix="Save the model again with a newer sentence-transformers.",
        )
    told = json.loads(settings.read_text(encoding="utf-8"))
    kind = str(told.get("activation_function", "torch.nn.modules.activation.Tanh"))
    bend = getattr(torch.nn, kind.rpartition(".")[2], None)
    if kind.rpartition(".")[2] not in BENDS or bend is None:
        raise _unknown(name, f"{folder} with {kind}")
    tensors, bent = load_file(weights), bend()
    matrix = tensors["linear.weight"].float()
    bias = tensors["linear.bias"].float() if "linear.bias" in tensors else None

    def layer(vectors: np.ndarray) -> np.ndarray:
        made = torch.nn.functional.linear(torch.from_numpy(vectors), matrix, bias)
        return bent(made).numpy()

    return layer


def _unknown(name: str, what: str) -> ModelError:
    return ModelError(
        f"{name} has {what}, which nothing here computes.",
        fix="Serve it behind an OpenAI-compatible endpoint and set embedder_url.",
    )


def _remote(config: "IndexConfig", key: str) -> Embedder:
    """A model behind an endpoint, which is known by its name and the size of its vectors."""
    from fucina.endpoint import Server, embed
    from fucina.models.source import locate, read_tokenizer

    server = Server(
        config.embedder_url or "", config.embedder, config.key_variable,
        settings=("embedder_url", "embedder"),
    )  # fmt: skip

    def vectors(texts: Sequence[str]) -> np.ndarray:
        return _unit(embed(server, key, texts))

    size = vectors(["size"]).shape[1]
    counter = _counter(read_tokenizer(EMBEDDED, locate(EMBEDDED)))
    fingerprint = _mixed("endpoint", config.embedder, str(size))
    return Embedder(config.embedder, fingerprint, counter, vectors, vectors)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise ModelError(
            "the embedder gives vectors that are no numbers.", fix="Use another embedder."
        )
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)


def _mixed(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
