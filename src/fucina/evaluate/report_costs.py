"""What a report says of costs: time and memory of an answer, tokens of it and of the training."""

from collections.abc import Mapping
from typing import Any

from fucina.evaluate.page import section, table

__all__ = ["costs", "tokens_told"]


def tokens_told(tokens: Mapping[str, int]) -> str:
    """What a training read and learnt, all members and epochs together.

    Args:
        tokens: Those read; of answers in words also those learnt.

    Example:
        >>> tokens_told({"read": 12000, "learnt": 1500})
        'training read 12,000 tokens in all epochs and learnt 1,500 of them.'
    """
    learnt = f" and learnt {tokens['learnt']:,} of them" if "learnt" in tokens else ""
    return f"training read {tokens['read']:,} tokens in all epochs{learnt}."


def costs(cost: Mapping[str, float], memory: Mapping[str, Any], tokens: Mapping[str, int]) -> str:
    """The part of a report that says what an answer costs, and what the training read.

    Args:
        cost: Of the model, as it was measured.
        memory: What the training held, and what was planned.
        tokens: What the training read and learnt.
    """
    if not cost:
        return ""
    held = (
        f"{memory['peak_mib']:.0f} MiB of {memory['where']}; "
        f"the plan said {memory['planned_mib']:.0f} MiB"
        if memory  # runs of older versions have none
        else f"{cost['peak_memory_mib']:.0f} MiB"
    )
    rows = [
        ("one text, mean", f"{cost['latency_mean_ms']:.1f} ms"),
        ("one text, median", f"{cost['latency_p50_ms']:.1f} ms"),
        ("one text, 95th percentile", f"{cost['latency_p95_ms']:.1f} ms"),
        ("peak memory of the process that trained", held),
    ]
    for name, what in (("prompt", "tokens of a prompt"), ("answer", "tokens of an answer")):
        if f"{name}_tokens_mean" in cost:
            rows.append((f"{what}, mean", f"{cost[f'{name}_tokens_mean']:.1f}"))
    if "cost_per_query_usd" in cost:
        rows.append(("a query, by advise.cost", f"USD {cost['cost_per_query_usd']:.2g}"))
    told = tokens_told(tokens).capitalize() if tokens else ""
    how = "Measured on the machine that trained, one text at a time, tokenizing included."
    body = table(("", ""), rows, numbers=1) + (f"<p>{told}</p>" if told else "")
    return section("What an answer costs", how, body)
