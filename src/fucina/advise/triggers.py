"""Reasons to fine-tune, and whether they hold."""

from fucina.advise.matrix import LONG_PROMPT
from fucina.records import Comparison, Trigger

__all__ = ["triggers"]


def triggers(
    prompt_tokens: int,
    stable: tuple[bool | None, str],
    *,
    volume: int,
    break_even: tuple[str, str, float | None] | None,
    gain: Comparison | None,
) -> tuple[Trigger, ...]:
    """Look at each reason.

    Args:
        prompt_tokens: What the system says before every question to a model that has not learnt it.
        stable: Whether who the assistant is has stopped to change, and a sentence on that.
        volume: Queries a month.
        break_even: The way that is paid by the query, the fine-tuned one, and from how many queries
            a month on the second is cheaper; None where nothing is paid by the query.
        gain: The fine-tuned way compared with the best of those without training; None where
            either was not tried.

    Example:
        >>> found = triggers(2500, (None, "?"), volume=10, break_even=None, gain=None)
        >>> [(one.name, one.holds) for one in found][:2]
        [('long prompt', True), ('stable', None)]
    """
    return (
        Trigger(
            "long prompt",
            prompt_tokens > LONG_PROMPT,
            f"the system's prompt has {prompt_tokens:,} tokens; above {LONG_PROMPT:,} it is "
            "worth learning instead",
        ),
        Trigger("stable", *stable),
        _volume(volume, break_even),
        _gain(gain),
    )


def _volume(volume: int, even: tuple[str, str, float | None] | None) -> Trigger:
    if even is None:
        said = "nothing that was tried is paid by the query at a known price"
        return Trigger("volume", None, said)
    paid, hosted, queries = even
    if queries is None:
        return Trigger("volume", False, f"{hosted} is never cheaper than {paid}")
    said = (
        f"{hosted} is cheaper than {paid} from {queries:,.0f} queries a month on; it is {volume:,}"
    )
    return Trigger("volume", volume > queries, said)


def _gain(gain: Comparison | None) -> Trigger:
    if gain is None:
        return Trigger("better answers", None, "not known: one of the two ways was not tried")
    better = "is better than" in gain.verdict
    first = next(iter(gain.differences.values()))
    said = f"{gain.verdict}: {first.value:+.3f} [{first.low:+.3f}, {first.high:+.3f}], "
    return Trigger("better answers", better, f"{said}p {gain.p_value:.3g}")
