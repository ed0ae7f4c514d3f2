"""Trained members that write together: the most probable token under the mean of their odds."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from fucina.models.chorus import Chorus
from fucina.models.constrain import Choose, Held, likeliest
from fucina.models.conversations import common_beginning, refuse_lost
from fucina.models.manner import Manner
from fucina.models.pace import Pace
from fucina.models.pair_voice import PairVoice, asked_of_pair, foretold_pairs, rows_of_pairs
from fucina.models.prefix import Prefix
from fucina.models.stack import Stack
from fucina.models.trunk import chunks_by_length
from fucina.models.voice import Voice, asked_of_text, foretold_texts, rows_of_texts
from fucina.models.word_loss import token_scores
from fucina.records import Example, Progress, Texts, silent

if TYPE_CHECKING:
    from fucina.models.base import Base
    from fucina.models.pairing import Pairing
    from fucina.models.template import Template

__all__ = ["ROWS", "Writer"]

ROWS = 16  # that are written at once


@dataclass(frozen=True)
class Writer:
    """k members over one base, ready to write.

    Attributes:
        base: The frozen model, with its template.
        stacks: One stack of k members, or k stacks of one when all weights were trained.
        max_new_tokens: Tokens of an answer at most.
        held: What answers are held to; None to write freely.
        pace: How many are written at once.
    """

    base: "Base"
    stacks: tuple[Stack, ...]
    max_new_tokens: int
    held: Held | None = None
    pace: Pace = field(default_factory=lambda: Pace(ROWS))

    @property
    def template(self) -> "Template | Pairing":
        """How the base wants conversations."""
        return cast("Template | Pairing", self.base.template)

    @property
    def manner(self) -> Manner:
        """How its kind of network writes."""
        return CONTINUING if self.base.halves is None else ANSWERING

    def predict(
        self,
        examples: Sequence[Example],
        *,
        threads: Executor,
        foretell: bool = True,
        progress: Progress = silent,
    ) -> Texts:
        """Write the last answer of n conversations, given what truly stood before it.

        Args:
            examples: The conversations; their last answers are not shown to the model.
            threads: Where chunks run.
            foretell: Also say how likely the true answers were.
            progress: Told after each chunk.
        """
        prompts = [self.asked(example) for example in examples]
        answers, ended, wrote = self._write(examples, prompts, threads, progress)
        whole = [len(self.template.asked(example)) for example in examples]
        losses, tokens = np.zeros(len(examples)), np.zeros(len(examples))
        if foretell:
            losses, tokens = self.foretell(examples, threads=threads)
        return Texts(
            tuple(example.prompt for example in examples),
            tuple(example.target for example in examples),
            tuple(answers), losses, tokens, np.array(ended, dtype=bool),
            read=tuple(map(len, prompts)), written=tuple(wrote),
            cut=tuple(row for row, own in enumerate(prompts) if len(own) < whole[row]),
        )  # fmt: skip

    def foretell(
        self, examples: Sequence[Example], *, threads: Executor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Summed loss and count of the learnt tokens of n conversations.

        Raises:
            DataError: An answer alone is longer than the model reads.
        """
        most = self.base.max_length_tokens
        written = self.manner.rows(examples, self.base)
        refuse_lost(written, examples, most)

        def run(rows: np.ndarray) -> np.ndarray:
            losses = []
            for stack in self.stacks:
                k = stack.members
                worker = stack.borrow()
                try:
                    with torch.no_grad():
                        batch, hidden, head = self.manner.foretell(stack, written, rows, worker)
                        own, _ = token_scores(hidden, head, batch.targets, cap=self.base.cap)
                finally:
                    stack.give_back(worker)
                losses.append(own.view(k, -1).double())
            each = torch.cat(losses)  # the mean of the members' probabilities of each token
            mean = np.log(len(each)) - torch.logsumexp(-each, dim=0)
            sums = torch.zeros(len(rows), dtype=torch.float64, device=mean.device)
            return sums.index_add_(0, batch.rows[: len(mean)], mean).cpu().numpy()

        sums = np.zeros(len(examples))
        chunks = chunks_by_length(written.lengths, np.arange(len(examples))) if examples else []
        pace = Pace(len(examples) or 1, "weighing true answers", self.pace.tell)
        for rows, found in pace.each(run, chunks, threads):
            sums[rows] = found
        return sums, written.weights

    def asked(self, example: Example) -> np.ndarray:
        """The tokens that are read to answer a row, cut as in training."""
        return self.manner.asked(example, self._with_room())

    def steps(self, prompt: np.ndarray, choose: Choose) -> Iterator[tuple[int, Tensor]]:
        """Write one answer: each token, its end too, with the odds that it was chosen from.

        Args:
            prompt: What is read, as `asked` gives it.
            choose: Chooses tokens; see `models.constrain` and `models.sampling`.
        """
        chorus = self._chorus([prompt], [None] * len(self.stacks))
        odds = chorus.first()
        for number in range(most := min(self.max_new_tokens, chorus.room[0])):
            forced = self._forced(number)
            tokens = choose(odds) if forced is None else torch.full_like(odds[:, 0].long(), forced)
            yield int(tokens[0]), odds[0]
            if int(tokens[0]) == self.template.end_id or number + 1 == most:
                return
            odds = chorus.next(tokens)

    def _write(
        self,
        examples: Sequence[Example],
        prompts: list[np.ndarray],
        threads: Executor,
        progress: Progress,
    ) -> tuple[list[str], list[bool], list[int]]:
        """Answers, whether they ended, and how many tokens were written for each."""
        shared = common_beginning(prompts) if self.manner.shares else 0
        order = np.argsort([len(row) for row in prompts], kind="stable")
        first = prompts[0][:shared] if shared else None
        begun = [None if first is None else self._begin(stack, first) for stack in self.stacks]

        def run(part: np.ndarray) -> list[list[int]]:
            choose = self.held.begin([examples[row] for row in part]) if self.held else likeliest
            return self._answer([prompts[row][shared:] for row in part], begun, choose)

        answers, ended = [""] * len(examples), [False] * len(examples)
        wrote, done = [0] * len(examples), 0
        for part, found in self.pace.each(run, [order], threads):
            for row, tokens in zip(part, found, strict=True):
                stops = bool(tokens) and tokens[-1] == self.template.end_id
                ended[row] = stops and self._forced(len(tokens) - 1) != tokens[-1]
                text, wrote[row] = tokens[:-1] if stops else tokens, len(tokens)
                answers[row] = self.base.tokenizer.decode(text, skip_special_tokens=True).strip()
            done += len(part)
            progress("writing answers", done, len(examples))
        return answers, ended, wrote

    def _with_room(self) -> "Base":
        """The base, reading less where its positions must hold the answer too."""
        base = self.base
        if base.halves is not None:
            return base
        # One that reads little keeps half of it for the question.
        most = base.positions - min(self.max_new_tokens, base.positions // 2)
        return replace(base, max_length_tokens=min(most, base.max_length_tokens))

    def _begin(self, stack: Stack, tokens: np.ndarray) -> Prefix:
        with torch.no_grad():
            return stack.begin(torch.from_numpy(tokens).to(stack.device))

    def _answer(
        self, prompts: list[np.ndarray], begun: Sequence[Prefix | None], choose: Choose
    ) -> list[list[int]]:
        """The tokens of the answers to some prompts, each up to its end token."""
        chorus = self._chorus(prompts, begun)
        answers: list[list[int]] = [[] for _ in prompts]
        going = np.ones(len(prompts), dtype=bool)
        odds = chorus.first()
        for number in range(self.max_new_tokens):
            forced = self._forced(number)
            tokens = choose(odds) if forced is None else torch.full_like(odds[:, 0].long(), forced)
            for row in np.flatnonzero(going):
                answers[row].append(int(tokens[row]))
                full = len(answers[row]) == chorus.room[row]
                going[row] = answers[row][-1] != self.template.end_id and not full
            if not going.any() or number + 1 == self.max_new_tokens:
                break
            odds = chorus.next(tokens)
        return answers

    def _chorus(self, prompts: list[np.ndarray], begun: Sequence[Prefix | None]) -> Chorus:
        return Chorus([
            self.manner.voice(stack, prompts, prefix, self.base)
            for stack, prefix in zip(self.stacks, begun, strict=True)
        ])  # fmt: skip

    def _forced(self, number: int) -> int | None:
        """What an encoder-decoder writes as token `number`, whatever is likely or allowed.

        It is no part of the answer, but what its language is told by, or where it is cut.
        """
        halves = self.base.halves
        if halves is None:
            return None
        if number + 1 == self.max_new_tokens and halves.forced_end is not None:
            return halves.forced_end
        return None if number else halves.forced


CONTINUING = Manner(rows_of_texts, foretold_texts, asked_of_text, Voice, shares=True)
ANSWERING = Manner(rows_of_pairs, foretold_pairs, asked_of_pair, PairVoice, shares=False)
