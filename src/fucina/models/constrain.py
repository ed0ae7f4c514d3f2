"""Answers held to a grammar: of the tokens that may follow, the most probable is written.

The grammars are kept by llguidance, an optional library. Its own way to put masks on odds compiles
a kernel, which takes 13 seconds the first time; numpy does the same at once.
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fucina.errors import MissingExtraError, ModelError, RecipeError
from fucina.models.template import Template
from fucina.records import Example, Grammar

if TYPE_CHECKING:
    from fucina.models.pairing import Pairing

__all__ = [
    "Choose",
    "GrammarMaker",
    "Held",
    "allowed",
    "check_grammar",
    "follow_pieces",
    "likeliest",
    "make_matcher",
]

# Odds of b rows, b x vocabulary, to the token that is written in each.
Choose = Callable[[Tensor], Tensor]
# n rows to the grammar of each of their answers.
GrammarMaker = Callable[[Sequence[Example]], Sequence[Grammar]]

# A schema of thousands of columns takes more than a grammar may by default, and half a second.
LIMITS = {"initial_lexer_fuel": 30_000_000, "step_lexer_fuel": 10_000_000}
READY = 64  # grammars that are kept made ready; those of single rows are soon of no use
# JSON as Python writes it, which is how answers are learnt; without this a weak model adds blanks
# for as long as it may.
JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def likeliest(odds: Tensor) -> Tensor:
    """The most probable token of each row, whatever it is."""
    return odds.argmax(dim=-1)


def check_grammar(grammar: Grammar) -> None:
    """Refuse a grammar that cannot be used.

    Raises:
        MissingExtraError: The library that reads grammars is not installed.
        RecipeError: It has a mistake; the message tells where.
    """
    library = _library()
    limits = library.LLParserLimits(**LIMITS)
    _refuse(grammar, library.LLMatcher.validate_grammar(_lark(grammar), limits=limits))


def _refuse(grammar: Grammar, wrong: str) -> None:
    if wrong:
        said = " ".join(wrong.split())
        raise RecipeError(
            f"chat.constrain: the {grammar.kind} grammar cannot be read: {said[:200]}.",
            fix="Mend it; a Lark grammar begins with start:, a JSON schema with its type.",
        )


def _library() -> Any:
    try:
        import llguidance
    except ImportError as error:
        raise MissingExtraError("llguidance", extra="constrain") from error
    return llguidance


def _lark(grammar: Grammar, before: str = "") -> str:
    """A grammar in the library's Lark, behind a blank that need not be there.

    Args:
        grammar: Of the answers.
        before: What a template writes before an answer: a model that learnt it writes it too, and
            it is no part of the answer.
    """
    if grammar.kind == "json":
        body = f"%json {json.dumps({'x-guidance': JSON_STYLE, **_schema(grammar.text)})}"
    elif grammar.kind == "regex":
        body = "/" + re.sub(r"(?<!\\)/", r"\\/", grammar.text) + "/"
    else:
        body = f"%lark {{\n{grammar.text}\n}}"
    blanks = " | ".join(json.dumps(blank) for blank in sorted({" ", before}) if blank.isspace())
    return f"start: BLANK? answer\nBLANK: {blanks}\nanswer: {body}\n"


def _schema(text: str) -> dict[str, Any]:
    problem = "it is no object"
    try:
        found = json.loads(text)
    except ValueError as error:
        found, problem = None, str(error)
    if not isinstance(found, dict):
        raise RecipeError(
            f"chat.constrain: the JSON schema cannot be read: {problem}.",
            fix='Mend it; a schema begins with {"type": …}.',
        )
    return found


class _Pieces:
    """The tokens of SentencePiece as bytes, in the form that the library asks for."""

    def __init__(self, tokenizer: Any, end: int) -> None:
        self.tokenizer = tokenizer
        self.eos_token_id, self.bos_token_id = end, tokenizer.bos_token_id
        self.special_token_ids = list(tokenizer.all_special_ids)
        self.tokens = [
            _piece_bytes(piece) for piece in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        ]

    def __call__(self, text: bytes) -> list[int]:
        """The tokens of a text."""
        said = text.decode("utf-8", "replace")
        return self.tokenizer(said, add_special_tokens=False)["input_ids"]


def _piece_bytes(piece: str) -> bytes:
    """What a piece writes: a lower block is a blank, and <0x0A> stands for one byte."""
    if re.fullmatch(r"<0x[0-9A-F]{2}>", piece):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("▁", " ").encode()


def _follow(tokenizer: Any, end: int) -> Any:
    """The library's own view of a tokenizer.

    Raises:
        ModelError: There is none.
    """
    library = _library()
    from llguidance.hf import from_tokenizer

    try:
        # It does not know how SentencePiece's pieces are joined again, as in T5.
        if "Metaspace" in repr(tokenizer.backend_tokenizer.decoder):
            return library.LLTokenizer(library.TokenizerWrapper(_Pieces(tokenizer, end)))
        return from_tokenizer(tokenizer, eos_token=end)
    except (ValueError, AttributeError) as error:
        raise ModelError(
            f"chat.constrain: the tokenizer of model.base cannot be followed ({error}).",
            fix="Use a base with a tokenizer.json, or leave chat.constrain out.",
        ) from error


class Held:
    """Remembers the grammars of answers, made ready for one tokenizer.

    Args:
        grammars: Rows to the grammar of each.
        template: How the model wants turns; its end token ends an answer.

    Raises:
        MissingExtraError: The library that keeps answers to grammars is not installed.
        ModelError: It cannot follow this tokenizer.
    """

    def __init__(self, grammars: GrammarMaker, template: "Template | Pairing") -> None:
        self._grammars, self._template, self._end = grammars, template, template.end_id
        self._before = template.lead if isinstance(template, Template) else ""
        self._ready = lru_cache(maxsize=READY)(self._matcher_of)
        self._tokenizer = _follow(template.tokenizer, template.end_id)

    def begin(self, rows: Sequence[Example], pick: Choose = likeliest) -> Choose:
        """What chooses the tokens of the answers to some rows, called once for each token.

        Args:
            rows: The rows.
            pick: Chooses among the tokens that may follow; the odds of others are below 0.
        """
        return self.keep(self._grammars(rows), pick)

    def keep(self, grammars: Sequence[Grammar], pick: Choose = likeliest) -> Choose:
        """The same for answers whose grammars are given."""
        matchers = [self._matcher(grammar) for grammar in grammars]
        over = np.zeros(len(matchers), dtype=bool)

        def choose(odds: Tensor) -> Tensor:
            may = np.zeros(odds.shape, dtype=bool)
            for row, matcher in enumerate(matchers):
                may[row] = allowed(matcher, odds.shape[1]) if not over[row] else False
                may[row, self._end] |= over[row]
            masked = odds.masked_fill(~torch.from_numpy(may).to(odds.device), -1.0)
            tokens = pick(masked)
            for row in np.flatnonzero(~over):
                if not matchers[row].consume_token(int(tokens[row])):
                    raise _stuck(matchers[row])
                over[row] = int(tokens[row]) == self._end
            return tokens

        return choose

    def misfits(self, rows: Sequence[Example]) -> list[Example]:
        """The rows whose true answer is none that their grammar allows."""
        found = []
        for row, grammar in zip(rows, self._grammars(rows), strict=True):
            matcher = self._matcher(grammar)
            said = self._template.tokenizer(row.target, add_special_tokens=False)["input_ids"]
            if matcher.try_consume_tokens(said) < len(said) or not matcher.is_accepting():
                found.append(row)
        return found

    def _matcher(self, grammar: Grammar) -> Any:
        return self._ready(grammar).deep_copy()

    def _matcher_of(self, grammar: Grammar) -> Any:
        return make_matcher(self._tokenizer, grammar, self._before)


def follow_pieces(pieces: Any) -> Any:
    """The library's view of a tokenizer that is none of Hugging Face's.

    Args:
        pieces: Has `tokens` as bytes, `special_token_ids`, `bos_token_id` and `eos_token_id`, and
            turns bytes into tokens when it is called.

    Raises:
        MissingExtraError: The library is not installed.
    """
    library = _library()
    return library.LLTokenizer(library.TokenizerWrapper(pieces))


def make_matcher(tokenizer: Any, grammar: Grammar, before: str = "") -> Any:
    """What follows an answer token by token, and says which may come next.

    Args:
        tokenizer: As the library sees it.
        grammar: Of the answer.
        before: What a template writes before an answer, and is no part of it.

    Raises:
        RecipeError: The grammar has a mistake.
    """
    library = _library()
    limits = library.LLParserLimits(**LIMITS)
    made = library.LLMatcher(tokenizer, _lark(grammar, before), log_level=0, limits=limits)
    _refuse(grammar, made.get_error())
    return made


def allowed(matcher: Any, vocabulary: int) -> np.ndarray:
    """Which tokens may follow; none of those that a network has and its tokenizer has not.

    Args:
        matcher: Of the answer so far.
        vocabulary: How many tokens the network has.

    Raises:
        ModelError: None may, because the tokenizer cannot write what the grammar wants.
    """
    bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
    may = np.zeros(vocabulary, dtype=bool)
    found = np.unpackbits(bits, bitorder="little")[:vocabulary]
    may[: len(found)] = found
    if not may.any():
        raise _stuck(matcher)
    return may


def _stuck(matcher: Any) -> ModelError:
    said = (matcher.get_error() or "no token fits").splitlines()[0]
    return ModelError(
        f"chat.constrain: nothing may follow ({said}).",
        fix="Use a base whose tokenizer can write what the grammar wants, or mend the grammar.",
    )
