"""How good the model is, in a sentence, before anybody asks why."""

from fucina.diagnose.case import Case

__all__ = ["symptom"]


def symptom(case: Case) -> str:
    """Say the score, the held-out score, and what costs nothing and is better."""
    score = case.facts["model"]["scores"]["accuracy"]
    said = (
        f"accuracy {score['value']:.1%} [{score['low']:.1%}, {score['high']:.1%}] on "
        f"{case.facts['model']['rows']} test rows, {case.held_out_accuracy:.1%} on held-out rows; "
        f"training loss {case.training.curves.train[-1]:.3f}"
        if case.training.curves.train
        else f"accuracy {score['value']:.1%}"
    )
    better = [
        f"{b['name']} {b['scores']['accuracy']['value']:.1%}"
        for b in case.facts["baselines"]
        if b["scores"]["accuracy"]["value"] > score["value"]
    ]
    return said + (f"; free and better: {', '.join(better)}." if better else ".")
