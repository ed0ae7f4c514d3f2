"""Does the temperature of held-out rows mend the confidence of the ensemble on test rows?

    python benchmarks/calibration.py RUN…

For each run with folds: the calibration error and log loss of held-out rows before and after (the
temperature fitted on the other half), and of the test rows without it, with it on the average of
the members (what Fucina does), and with it on each member before they are averaged.
"""

import sys
from pathlib import Path

import numpy as np

from fucina import opening, run
from fucina.config import EvaluationConfig
from fucina.evaluate import calibrate
from fucina.evaluate.judge import codes
from fucina.metrics import apply_temperature, expected_calibration_error, log_loss
from fucina.models import threads


def shown(probabilities, targets):
    error = expected_calibration_error(probabilities, targets)
    return f"{error:.3f} / {log_loss(probabilities, targets):.3f}"


def main():
    print("calibration error / log loss\n")
    print(
        "| run | temperature | held out | held out, scaled | test | test, average scaled "
        "| test, members scaled |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for given in sys.argv[1:]:
        folder = run.find(Path(given))
        held = run.read_predictions(folder / "out_of_fold.parquet")
        test = run.read_predictions(folder / "predictions.parquet")
        with threads.start() as pool:
            recipe, model = opening.load_model(folder, workers=threads.count(pool))
            each = model.member_probabilities(test.prompts, threads=pool)
        found = calibrate(held, EvaluationConfig(bootstrap_samples=100), seed=recipe.seed)
        targets, temperature = codes(test), found.temperature
        average = each.mean(axis=0)
        members = np.mean([apply_temperature(own, temperature) for own in each], axis=0)
        before = shown(held.probabilities, codes(held))
        print(
            f"| {folder.parent.name} | {temperature:.2f} | {before} | {found.after.value:.3f} "
            f"| {shown(average, targets)} | {shown(apply_temperature(average, temperature), targets)} "
            f"| {shown(members, targets)} |"
        )


if __name__ == "__main__":
    main()
