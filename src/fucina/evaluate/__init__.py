"""Stage 4: judge on rows that no training saw, beside baselines that cost nothing."""

from fucina.evaluate.baselines import baseline
from fucina.evaluate.compare import compare
from fucina.evaluate.judge import judge
from fucina.evaluate.measure import measure
from fucina.evaluate.summary import as_csv, summary, verdict

__all__ = ["as_csv", "baseline", "compare", "judge", "measure", "summary", "verdict"]
