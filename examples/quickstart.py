"""Train and use a classifier from Python: python examples/quickstart.py."""

from pathlib import Path

# [readme]
from fucina import flow, using
from fucina.recipe import load

recipe, _ = load(Path("job/recipe.yaml"))
outcome = flow.train(recipe, Path("job"))
print(outcome.verdict)
print(using.predict(Path(outcome.folder), ["Posso tenere il libro un'altra settimana?"]).answers)
# [/readme]
