"""Stage 4: judge on rows that no training saw, beside baselines that cost nothing."""

from fucina.evaluate.baselines import baseline
from fucina.evaluate.compare import compare
from fucina.evaluate.judge import judge

__all__ = ["baseline", "compare", "judge"]
