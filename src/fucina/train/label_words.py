"""Answers that are labels by their names: learnt as texts are, judged by weighing all names."""

from concurrent.futures import Executor
from typing import Any, cast

import numpy as np
from torch import Tensor

from fucina.models.conversations import Written
from fucina.models.label_words import row_scores
from fucina.train.labels import label_scores
from fucina.train.members import HeldOut, Kind, Loop
from fucina.train.texts import TEXTS, TextMaterial, foreteller
from fucina.train.words import held_out_rows

__all__ = ["LABEL_WORDS"]


def _judge(loop: Loop, threads: Executor, untrained: bool) -> list[HeldOut]:
    """Loss and accuracy of each active member on its held-out rows.

    An untrained stack is judged like any other: a base finds some names likelier than others.
    """
    del untrained
    material, stack = cast("TextMaterial", loop.material), loop.stack
    columns = []
    for weighed in material.weighed:
        foretell = foreteller(weighed, stack, threads)

        def score(
            rows: np.ndarray, worker: int, foretell: Any = foretell, own: Written = weighed.written
        ) -> Tensor:
            batch, hidden, head = foretell(rows, worker)
            return row_scores(batch, own, hidden, head, cap=stack.base.cap)

        columns.append(held_out_rows(loop, weighed, threads, score))
    found = []
    for number, member in enumerate(loop.active):
        own = list(material.folds[member.index].held_out)
        log_p = np.concatenate([column[number] for column in columns], axis=1).astype(np.float64)
        codes = material.codes[own]
        # Nats a learnt token, as the training loss is, so that the two can be compared.
        loss = -log_p[np.arange(len(own)), codes].sum() / material.weights[own].sum()
        found.append(label_scores(log_p, codes, float(loss)))
    return found


LABEL_WORDS = Kind(gradients=TEXTS.gradients, judge=_judge)
