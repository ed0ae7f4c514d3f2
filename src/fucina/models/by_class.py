"""Members that weigh labels by a head of classes: one pass of the trunk, one of the adapters."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from fucina.models.lexical import Lexicon, Table, counts, each_table
from fucina.models.stack import Stack, run_wide
from fucina.models.threads import across
from fucina.models.tokenize import encode
from fucina.models.trunk import assemble, chunks_by_length
from fucina.records import Progress

if TYPE_CHECKING:
    from fucina.models.base import Base

__all__ = ["ByClass"]


@dataclass(frozen=True)
class ByClass:
    """k members with heads of c classes.

    Attributes:
        base: The frozen model.
        stacks: One stack of k members, or k stacks of one when all weights were trained.
        lexicon: The n-grams; None without a lexical part.
        lexical: What the n-grams say, for each member; None without.
    """

    base: "Base"
    stacks: tuple[Stack, ...]
    lexicon: Lexicon | None
    lexical: tuple[Table | None, ...]

    @property
    def members(self) -> int:
        """K."""
        return sum(stack.members for stack in self.stacks)

    def scores(
        self, prompts: Sequence[str], *, threads: ThreadPoolExecutor, progress: Progress
    ) -> np.ndarray:
        """What every member makes of n prompts, k x n x c."""
        encoded = encode(
            prompts, self.base.tokenizer, max_length_tokens=self.base.max_length_tokens
        )
        scores = np.zeros((self.members, len(prompts), self.stacks[0].labels))
        rows = chunks_by_length(encoded.lengths, np.arange(len(prompts)))

        def run(part: np.ndarray) -> Tensor:
            batch = assemble(encoded, part[None], self.base.tokenizer.pad_token_id)
            return run_wide(self.stacks, batch, Stack.logits)

        for done, (part, logits) in enumerate(
            zip(rows, across(threads, run, rows), strict=True), start=1
        ):
            scores[:, part] = logits.double().numpy()
            progress("answering", done, len(rows))
        if self.lexicon is not None:
            scores += each_table(self.lexical, counts(prompts, self.lexicon), scores.shape[2])
        return scores
