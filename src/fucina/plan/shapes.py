"""The rows of a run as a plan sees them: how many, how long, and in which passes."""

from dataclasses import dataclass, field

import numpy as np

__all__ = ["Shapes", "Sources", "Texts"]


@dataclass(frozen=True)
class Sources:
    """What the encoder of an encoder-decoder reads, in the same passes as its decoder writes.

    Attributes:
        reading: Passes over every development row, p x 2.
        training: Passes of one epoch.
        held_out: Passes over held-out rows.
        answering: Passes over the test rows.
    """

    reading: np.ndarray
    training: np.ndarray
    held_out: np.ndarray
    answering: np.ndarray


@dataclass(frozen=True)
class Texts:
    """What is learnt and written where the answer is a text; nothing for labels.

    Attributes:
        prefix: P, tokens that all rows begin with: run once a step for each member.
        learnt: Learnt tokens of one epoch, all members together; only they reach the head.
        held_out: Tokens that reach the head of the held-out rows.
        test: The same of the test rows.
        prompts: Passes over the prompts that are answered, p x 2: rows, and padded length.
        begun: Tokens that all of these prompts begin with.
        most: Tokens of an answer at most.
        sources: What an encoder reads; None where one network reads and writes. The passes of
            `Shapes` are then over what is written.
        labels: c, where the answers are names of labels and all of them are weighed; else 0.
    """

    prefix: int = 0
    learnt: int = 0
    held_out: int = 0
    test: int = 0
    prompts: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    begun: int = 0
    most: int = 0
    sources: Sources | None = None
    labels: int = 0


@dataclass(frozen=True)
class Shapes:
    """The rows of a run as the engine will cut them.

    Passes are p x 2: rows of all members at once, and tokens they are padded to; the beginning
    that all rows share is not counted among them.

    Attributes:
        rows: Development rows.
        learned: Training rows of all members together, of spans the words that floors learn from.
        test_rows: Rows of the test set.
        labels: c classes of the head, of spans the tags; 0 where texts, or names of labels, are
            learnt.
        members: k.
        characters: Of the development rows.
        tokens: Of the training rows of all members, without padding: one epoch. What rows share
            counts once a step.
        steps: Optimizer steps of a member in one epoch.
        reading: Passes over every development row.
        training: Passes of one epoch.
        held_out: Passes over held-out rows, after each epoch.
        answering: Passes over the test rows; each is repeated for the members above the trunk.
        truncated: Share of rows longer than the limit.
        texts: What is learnt and written where the answer is a text.
    """

    rows: int
    learned: int
    test_rows: int
    labels: int
    members: int
    characters: int
    tokens: int
    steps: int
    reading: np.ndarray
    training: np.ndarray
    held_out: np.ndarray
    answering: np.ndarray
    truncated: float = 0.0
    texts: Texts = Texts()
