"""A decoder in a GGUF file, answered by llama.cpp."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.engines.interface import Piece, Sampling
from fucina.engines.llama_model import LlamaModel
from fucina.engines.llama_words import template_in
from fucina.engines.odds import log_odds, most_likely
from fucina.engines.questions import refuse_signs, too_long
from fucina.engines.spelling import Spelling
from fucina.errors import DataError
from fucina.models.sampling import sampler
from fucina.models.shorter import asked
from fucina.models.template import Template
from fucina.records import Example, Grammar, Message

if TYPE_CHECKING:
    from fucina.models.constrain import Choose

__all__ = ["LlamaTalker"]

# Number of general.file_type to its name, of those that are written or asked for.
TYPES = {
    "0": "F32", "1": "F16", "2": "Q4_0", "3": "Q4_1", "7": "Q8_0", "8": "Q5_0", "9": "Q5_1",
    "10": "Q2_K", "11": "Q3_K_S", "12": "Q3_K_M", "13": "Q3_K_L", "14": "Q4_K_S",
    "15": "Q4_K_M", "16": "Q5_K_S", "17": "Q5_K_M", "18": "Q6_K", "32": "BF16",
}  # fmt: skip


class LlamaTalker:
    """Remembers a loaded file; one answer is written at a time, others wait.

    Args:
        path: The GGUF file.
        system: What the system says where a row does not say it itself.
        max_tokens: Of an answer, where it is not asked for otherwise.
        reads: Tokens of a question at most, as in training; 0 for what the context leaves.
        context: Tokens of both at most; 0 for what the file says.
        threads: That compute; 0 for one a core.
        adapter: A LoRA adapter as GGUF.

    Raises:
        MissingExtraError: llama.cpp is not installed.
        ModelError: The file cannot be loaded.
    """

    def __init__(
        self,
        path: Path,
        *,
        system: str | None = None,
        max_tokens: int = 256,
        reads: int = 0,
        context: int = 0,
        threads: int = 0,
        adapter: Path | None = None,
    ) -> None:
        self._model = LlamaModel(path, context=context, threads=threads, adapter=adapter)
        self._lock = threading.Lock()
        self._max_tokens = max_tokens
        # As the built-in engine does it: a short context keeps half of itself for the question.
        room = self.context - min(max_tokens, self.context // 2)
        self._reads = min(reads, room) if reads else room
        try:
            self._template: Template = template_in(self._model, system)
        except BaseException:
            self._model.close()
            raise

    @property
    def name(self) -> str:
        """What computes, for people."""
        kind = TYPES.get(self._model.fact("general.file_type"), "GGUF")
        return f"llama.cpp {kind}"

    @property
    def context(self) -> int:
        """Tokens of question and answer together, at most."""
        return self._model.context

    @property
    def template(self) -> Template:
        """How the file wants turns to be written."""
        return self._template

    def close(self) -> None:
        """Give its memory back, once the answer that is being written is over."""
        with self._lock:
            self._model.close()

    def prompt_ids(self, example: Example) -> list[int]:
        """What the model reads to answer a row, cut as in training."""
        return asked(_open(example), self._template, most=self._reads).tolist()

    def scores(self, tokens: list[int]) -> np.ndarray:
        """Scores of each token to come next, not normalized.

        Args:
            tokens: All that stands before.
        """
        with self._lock:
            return self._model.odds(tokens)

    def talk(self, example: Example, sampling: Sampling) -> Iterator[Piece]:
        """Answer the last turn of a conversation; see `Talker`.

        Raises:
            DataError: It is too long, or has signs that only the template may write.
        """
        refuse_signs(example, self._template)
        read = self.prompt_ids(example)
        cut = too_long(len(read), len(self._template.asked(_open(example))), sampling)
        for piece in self._write(read, sampling, strip=True):
            yield replace(piece, cut=cut) if piece.end else piece

    def complete(self, prompt: str, sampling: Sampling) -> Iterator[Piece]:
        """Go on with a text as it stands; see `Talker`.

        Raises:
            DataError: It is empty, or longer than the context.
        """
        begins = self._model.fact("tokenizer.ggml.add_bos_token") == "true"
        tokens = [self._model.begin_token] if begins else []
        tokens += self._model.tokens(prompt)
        if not 0 < len(tokens) <= self.context:
            raise DataError(
                f"the prompt has {len(tokens)} tokens; the model reads 1 to {self.context}.",
                fix="Shorten it." if tokens else "Write one.",
            )
        return self._write(tokens, sampling, strip=False)

    def _write(self, prompt: list[int], sampling: Sampling, *, strip: bool) -> Iterator[Piece]:
        model, most = self._model, sampling.max_tokens or self._max_tokens
        spelling = Spelling(
            lambda ids: b"".join(map(model.piece, ids)).decode("utf-8", "replace"),
            sampling.stop, strip=strip,
        )  # fmt: skip
        pick = sampler(sampling.temperature, sampling.top_p, sampling.seed)
        ended, tokens = False, [*prompt]
        with self._lock:
            matcher = None if sampling.grammar is None else self._matcher(sampling.grammar)
            # The last token that is written needs no place: nothing is read after it.
            for _ in range(min(most, self.context + 1 - len(prompt))):
                logs = log_odds(model.odds(tokens))
                token = _choose(logs, pick, matcher)
                ended = model.ends(token) or token == self._template.end_id
                if ended:
                    break
                tokens.append(token)
                told = self._told(token, logs, sampling) if sampling.logprobs else ((), ())
                yield Piece(spelling.push(token), 1, *told)
                if spelling.stopped:
                    yield Piece("", end="stop", read=len(prompt))
                    return
            end = "stop" if ended else "length"
            # The token that ends an answer was written too.
            yield Piece(spelling.finish(), int(ended), end=end, read=len(prompt))

    def _told(
        self, token: int, logs: np.ndarray, sampling: Sampling
    ) -> tuple[tuple[tuple[str, float]], tuple[dict[str, float]]]:
        """How likely a token was, and others in its place."""
        name = self._model.name
        best = most_likely(logs, sampling.top_logprobs)
        return ((name(token), float(logs[token])),), ({name(n): v for n, v in best.items()},)

    def _matcher(self, grammar: Grammar) -> Any:
        from fucina.models import constrain

        return constrain.make_matcher(self._follow, grammar, self._template.lead)

    @cached_property
    def _follow(self) -> Any:
        from fucina.models import constrain

        return constrain.follow_pieces(_Pieces(self._model, self._template.end_id))


def _choose(logs: np.ndarray, pick: "Choose", matcher: Any) -> int:
    """The next token, which a grammar hears of.

    Raises:
        FloatingPointError: The model computed what is no number.
    """
    import torch

    if np.isnan(logs).any():
        raise FloatingPointError("odds that are no numbers")
    odds = torch.from_numpy(np.exp(logs))[None]
    if matcher is not None:
        from fucina.models import constrain

        odds[0, ~torch.from_numpy(constrain.allowed(matcher, len(logs)))] = -1.0
    token = int(pick(odds)[0])
    if matcher is not None:
        matcher.consume_token(token)
    return token


class _Pieces:
    """The tokens of a file as bytes, in the form that the keeper of grammars asks for."""

    def __init__(self, model: LlamaModel, end: int) -> None:
        self._model = model
        special = model.special()
        self.eos_token_id, self.bos_token_id = end, model.begin_token
        self.special_token_ids = list(special)
        self.tokens = [
            special[token].encode() if token in special else model.piece(token)
            for token in range(model.size)
        ]

    def __call__(self, text: bytes) -> list[int]:
        """The tokens of a text."""
        return self._model.tokens(text.decode("utf-8", "replace"))


def _open(example: Example) -> Example:
    """The row with a last turn of the assistant, which is not read."""
    if not example.messages or example.messages[-1].role == "assistant":
        return example
    return replace(example, messages=(*example.messages, Message("assistant", "")))
