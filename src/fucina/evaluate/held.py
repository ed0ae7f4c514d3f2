"""Both numbers of a model whose answers are held to a grammar: held, and writing freely."""

from collections.abc import Mapping
from typing import Any

from fucina.config import metric_name
from fucina.tasks.grammars import FREE

__all__ = ["held_and_free"]

AS_BEFORE = {"perplexity", "token_loss"}  # how likely the true answers are, whatever is written


def held_and_free(facts: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Each score of what was written, held and free; none where nothing is held.

    Args:
        facts: The content of metrics.json.

    Example:
        >>> model = {"scores": {"ended": {"value": 1.0, "low": 0.9, "high": 1.0}}}
        >>> free = {"name": "free", "scores": {"ended": {"value": 0.5, "low": 0.3, "high": 0.7}}}
        >>> held_and_free({"model": model, "baselines": [free]})
        [('answers that end by themselves', '1.000 [0.900, 1.000]', '0.500 [0.300, 0.700]')]
    """
    held = facts["model"]["scores"]
    free = next((one["scores"] for one in facts["baselines"] if one["name"] == FREE), {})
    return [
        (metric_name(name), _shown(held[name]), _shown(free[name]))
        for name in held
        if name in free and name not in AS_BEFORE
    ]


def _shown(score: Mapping[str, float]) -> str:
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
