"""What is said about confidence: calibration and abstention, in sentences."""

from collections.abc import Mapping
from typing import Any

__all__ = ["sentences"]

HARDER = 0.1  # held-out rows this much harder or easier than test rows make confidence off


def sentences(facts: Mapping[str, Any]) -> list[str]:
    """Say what calibration did and what the threshold costs.

    Args:
        facts: The content of metrics.json.
    """
    found = facts.get("calibration")
    if found is None:
        return []
    if facts.get("answer") == "spans":
        return [_calibrated(found, "spans")]
    said = [_calibrated(found, "rows"), _unlike(facts)]
    if found["target"] is not None:
        said.append(_abstains(found, facts["model"]["rows"]))
    return [sentence for sentence in said if sentence]


def _calibrated(found: Mapping[str, Any], what: str) -> str:
    before, after = found["before"], found["after"]
    if found["temperature"] == 1.0:
        return (
            f"Confidence is off by {before['value']:.3f} "
            f"[{before['low']:.3f}, {before['high']:.3f}] on {found['rows']} held-out {what} and "
            "is left as it is: no temperature makes it clearly better."
        )
    return (
        f"Confidence was off by {before['value']:.3f} "
        f"[{before['low']:.3f}, {before['high']:.3f}] on {found['rows']} held-out {what}; a "
        f"temperature of {found['temperature']:.2f} makes it {after['value']:.3f} "
        f"[{after['low']:.3f}, {after['high']:.3f}], and on the test {what} "
        f"{found['test']['ece_after']:.3f} instead of {found['test']['ece_before']:.3f}."
    )


def _unlike(facts: Mapping[str, Any]) -> str:
    held = facts["out_of_fold"]["scores"]["accuracy"]["value"]
    test = facts["model"]["scores"]["accuracy"]["value"]
    if abs(held - test) < HARDER or facts["calibration"]["temperature"] == 1.0:
        return ""
    word, other = ("harder", "modest") if held < test else ("easier", "sure")
    return (
        f"The held-out rows are {word} than the test rows ({held:.1%} against {test:.1%} right), "
        f"so confidence may be too {other}: evaluation.calibrate=false turns it off."
    )


def _abstains(found: Mapping[str, Any], rows: int) -> str:
    target, threshold = found["target"], found["threshold"]
    if threshold is None:
        surest = found["curve"][0]
        return (
            f"At most {target:.1%} wrong answers cannot be kept: of the surest "
            f"{surest['coverage']:.0%} already {surest['risk']:.1%} are wrong. All rows are "
            "answered; label more rows, or allow more."
        )
    point = next(point for point in found["curve"] if point["threshold"] == threshold)
    proof = (
        f"proved below {target:.1%}"
        if found["proved"]
        else f"not proved: {found['rows']} rows only say below {point['bound']:.1%}"
    )
    test = found["test"]
    said = (
        f"For at most {target:.1%} wrong answers the model abstains below a confidence of "
        f"{threshold:.3f}: of the held-out rows it answers {point['coverage']:.1%} with "
        f"{point['risk']:.1%} wrong ({proof}); of the test rows "
    )
    if test["risk"] is None:
        return said + "none."
    risk = test["risk"]
    refuted = ": these rows refute it, they are unlike the held-out ones" * (risk["low"] > target)
    return said + (
        f"{test['answered'] / rows:.1%} with {risk['value']:.1%} "
        f"[{risk['low']:.1%}, {risk['high']:.1%}] wrong{refuted}."
    )
