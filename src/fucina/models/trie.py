"""Several answers as one tree: tokens that their beginnings share are run once.

One pass over a prompt and all tokens of the tree gives every answer its probability: a token sees
the prompt, the tokens before it on its own branch, and itself (the mask of SpecInfer's token
trees, arXiv 2305.09781; here the branches are the answers that are possible).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["Trie", "plant"]

PROMPT = -1  # stands for the last token of the prompt, from which all branches begin


@dataclass(frozen=True)
class Trie:
    """The tokens of c answers.

    Attributes:
        ids: N tokens that are run. The last token of an answer foretells nothing, so it is none
            of them.
        parents: N numbers of the token before each; PROMPT where there is none.
        sources: E numbers of the token that each step of an answer is foretold from, or PROMPT.
        targets: E tokens that those steps lead to.
        paths: c x E, whether a step is one of an answer's.
    """

    ids: np.ndarray
    parents: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    paths: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def seen(self) -> np.ndarray:
        """Whether a token stands before another on its branch, or is it, N x N."""
        seen = np.eye(len(self), dtype=bool)
        for token, parent in enumerate(self.parents):  # a parent comes before its children
            if parent != PROMPT:
                seen[token] |= seen[parent]
        return seen

    def branches(self, ends: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions, b x L, and who follows whom, b x L x L, of rows that end with this tree.

        Args:
            ends: Tokens of the b prompts.
            length: L, what rows are padded to.
        """
        own = np.arange(length)
        positions = np.tile(own, (len(ends), 1))
        seen = np.tile(own[:, None] >= own, (len(ends), 1, 1))
        depths = self.seen.sum(axis=1) - 1
        for row, end in enumerate(ends):
            tree = slice(end, end + len(self))
            positions[row, tree] = end + depths
            seen[row, tree, tree] = self.seen
        return positions, seen

    def places(self, ends: np.ndarray, length: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Where the answers of b rows are foretold from, and which row each place is of.

        Those of a row are the last token of its prompt, then the N of the tree.
        """
        first = np.arange(len(ends)) * length + ends - 1
        steps = np.arange(len(self) + 1)
        return [start + steps for start in first], [
            np.full(len(steps), i) for i in range(len(ends))
        ]


def plant(answers: Sequence[Sequence[int] | np.ndarray]) -> Trie:
    """Make a tree of the tokens of c answers; each must end otherwise than any other goes on.

    Args:
        answers: Tokens of each, one or more.

    Example:
        >>> trie = plant([[5, 6, 9], [5, 9]])  # 9 ends an answer
        >>> trie.ids.tolist(), trie.parents.tolist()
        ([5, 6], [-1, 0])
        >>> list(zip(trie.sources.tolist(), trie.targets.tolist()))
        [(-1, 5), (0, 6), (1, 9), (0, 9)]
        >>> trie.paths.astype(int).tolist()
        [[1, 1, 1, 0], [1, 0, 0, 1]]
    """
    nodes: dict[tuple[int, int], int] = {}  # parent and token to the number of the node
    steps: dict[tuple[int, int], int] = {}
    walks: list[list[int]] = []
    for answer in answers:
        here, walk = PROMPT, []
        for place, token in enumerate(map(int, answer)):
            walk.append(steps.setdefault((here, token), len(steps)))
            if place + 1 < len(answer):
                here = nodes.setdefault((here, token), len(nodes))
        walks.append(walk)
    paths = np.zeros((len(walks), len(steps)), dtype=bool)
    for row, walk in enumerate(walks):
        paths[row, walk] = True
    run, led = (np.array(list(table), dtype=np.int64).reshape(-1, 2) for table in (nodes, steps))
    return Trie(run[:, 1], run[:, 0], led[:, 0], led[:, 1], paths)
