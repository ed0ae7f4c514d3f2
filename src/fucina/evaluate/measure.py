"""Judge a model as a user meets it: its answers, how long one takes, how much memory it needs."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from fucina.evaluate.judge import judge
from fucina.evaluate.timing import cost_of
from fucina.models.ensemble import Ensemble
from fucina.records import Dataset, Evaluation, Predictions, Progress, silent

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig

__all__ = ["measure"]


def measure(
    model: Ensemble,
    rows: Dataset,
    config: "EvaluationConfig",
    *,
    seed: int,
    threads: ThreadPoolExecutor,
    name: str,
    progress: Progress = silent,
) -> tuple[Evaluation, Predictions]:
    """Answer and judge all rows, and time single prompts."""
    predictions = model.predict(
        rows.prompts, threads=threads, targets=rows.targets, progress=progress
    )
    cost = cost_of(lambda prompt: model.predict([prompt], threads=threads), rows.prompts)
    return judge(predictions, config, name=name, seed=seed, cost=cost), predictions
