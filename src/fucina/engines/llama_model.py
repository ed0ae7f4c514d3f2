"""One GGUF file in llama.cpp: text to tokens, tokens to odds, tokens to bytes."""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fucina.engines import llama_library
from fucina.errors import ModelError

__all__ = ["LlamaModel"]

CONTROL = 8  # LLAMA_TOKEN_ATTR_CONTROL
BATCH = 512  # tokens that are read at once
LONGEST_PIECE = 4096  # bytes


class LlamaModel:
    """Remembers a loaded file, and the tokens it has read.

    Args:
        path: The GGUF file.
        context: Tokens it reads at most; 0 for what the file says.
        threads: That compute.
        adapter: A LoRA adapter as GGUF.

    Attributes:
        context: Tokens it reads at most.
        size: How many tokens it knows.

    Raises:
        MissingExtraError: llama.cpp is not installed.
        ModelError: The file cannot be loaded.
    """

    def __init__(
        self, path: Path, *, context: int = 0, threads: int = 0, adapter: Path | None = None
    ) -> None:
        self._library = library = llama_library.load()
        self._model = self._context = self._adapter = None
        if not path.is_file():
            raise _broken(path, "there is no such file")
        how = library.llama_model_default_params()
        how.n_gpu_layers = 0  # what was proved was proved on the processor
        self._model = library.llama_model_load_from_file(os.fsencode(path), how)
        if not self._model:
            raise _broken(path, llama_library.last_error())
        trained = library.llama_model_n_ctx_train(self._model)
        self.context = min(context or trained, trained)
        self._begin(path, threads or os.cpu_count() or 1)
        self._vocabulary = library.llama_model_get_vocab(self._model)
        self.size = library.llama_vocab_n_tokens(self._vocabulary)
        self._read: list[int] = []
        self._odds: np.ndarray | None = None
        if adapter is not None:
            self._put_on(adapter)

    def _begin(self, path: Path, threads: int) -> None:
        library = self._library
        how = library.llama_context_default_params()
        how.n_ctx, how.n_batch, how.n_ubatch = self.context, BATCH, BATCH
        how.n_threads = how.n_threads_batch = threads
        # Without it nothing could be taken back of what a layer with a window has read.
        how.swa_full = True
        how.flash_attn_type = library.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context = library.llama_init_from_model(self._model, how)
        if not self._context:
            problem = llama_library.last_error()
            self.close()
            raise _broken(path, problem)

    def _put_on(self, path: Path) -> None:
        library = self._library
        adapter = None
        if path.is_file():
            adapter = library.llama_adapter_lora_init(self._model, os.fsencode(path))
        if not adapter:
            problem = llama_library.last_error() if path.is_file() else "there is no such file"
            self.close()
            raise _broken(path, problem)
        self._adapter = (library.llama_adapter_lora_p_ctypes * 1)(adapter)
        scales = (ctypes.c_float * 1)(1.0)
        library.llama_set_adapters_lora(self._context, self._adapter, 1, scales)

    def close(self) -> None:
        """Give its memory back; it cannot be used any more."""
        if self._context:
            self._library.llama_free(self._context)
        if self._model:  # its adapters go with it
            self._library.llama_model_free(self._model)
        self._context = self._model = None

    def fact(self, key: str) -> str:
        """What the file says under a key; empty where it says nothing or a list."""
        short = ctypes.create_string_buffer(1)
        ask = self._library.llama_model_meta_val_str
        length = ask(self._model, key.encode(), short, 1)
        if length < 0:
            return ""
        text = ctypes.create_string_buffer(length + 1)
        ask(self._model, key.encode(), text, length + 1)
        return text.value.decode("utf-8", "replace")

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text in which special tokens may be written."""
        said = text.encode("utf-8", "surrogatepass")
        room = (ctypes.c_int32 * (len(said) + 8))()
        count = self._library.llama_tokenize(
            self._vocabulary, said, len(said), room, len(room), False, True
        )
        return list(room[:count])

    def piece(self, token: int) -> bytes:
        """What a token writes; half a character is possible, and of special ones nothing."""
        return self._piece(token, special=False)

    def name(self, token: int) -> str:
        """A token as text, special ones too."""
        return self._piece(token, special=True).decode("utf-8", "replace")

    def _piece(self, token: int, *, special: bool) -> bytes:
        room = ctypes.create_string_buffer(LONGEST_PIECE)
        ask = self._library.llama_token_to_piece
        length = ask(self._vocabulary, token, room, LONGEST_PIECE, 0, special)
        return room.raw[: max(0, length)]

    def special(self) -> dict[int, str]:
        """Its special tokens: number to text."""
        ask = self._library.llama_vocab_get_attr
        return {
            token: self.name(token)
            for token in range(self.size)
            if ask(self._vocabulary, token) & CONTROL
        }

    def ends(self, token: int) -> bool:
        """Whether llama.cpp takes a token for the end of an answer."""
        return bool(self._library.llama_vocab_is_eog(self._vocabulary, token))

    @property
    def begin_token(self) -> int:
        """What stands before a text."""
        return self._library.llama_vocab_bos(self._vocabulary)

    @property
    def end_token(self) -> int:
        """What ends a text."""
        return self._library.llama_vocab_eos(self._vocabulary)

    def odds(self, tokens: Sequence[int]) -> np.ndarray:
        """Scores of each token to come next, in float32, not normalized.

        What two calls in a row begin with alike is read once.

        Args:
            tokens: All that stands before, one or more, as many as the context at most.

        Raises:
            ModelError: llama.cpp failed.
        """
        given = list(tokens)
        same = 0
        for old, new in zip(self._read, given[:-1], strict=False):
            if old != new:
                break
            same += 1
        library = self._library
        library.llama_memory_seq_rm(library.llama_get_memory(self._context), 0, same, -1)
        self._read = given[:same]
        for begin in range(same, len(given), BATCH):
            part = given[begin : begin + BATCH]
            numbers = (ctypes.c_int32 * len(part))(*part)  # the batch only points to them
            batch = library.llama_batch_get_one(numbers, len(part))
            code = library.llama_decode(self._context, batch)
            if code:
                self._forget()
                raise ModelError(
                    f"llama.cpp could not read {len(given)} tokens: {llama_library.last_error()}.",
                    fix="Ask for less, or give a larger context.",
                )
            self._read += part
        found = library.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(found, shape=(self.size,)).copy()

    def _forget(self) -> None:
        library = self._library
        library.llama_memory_seq_rm(library.llama_get_memory(self._context), -1, -1, -1)
        self._read = []


def _broken(path: Path, problem: str) -> ModelError:
    return ModelError(
        f"{path} cannot be loaded by llama.cpp: {problem}.",
        fix="Give a GGUF file that this version of llama.cpp knows, or export it again.",
    )
