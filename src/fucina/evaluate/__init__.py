"""Stage 4: judge on rows that no training saw, beside baselines that cost nothing."""

from fucina.evaluate.baselines import baseline
from fucina.evaluate.calibrate import calibrate
from fucina.evaluate.compare import compare
from fucina.evaluate.compare_texts import compare_texts
from fucina.evaluate.held import held_and_free
from fucina.evaluate.judge import judge
from fucina.evaluate.leaderboard import as_html, as_markdown, as_table, contest
from fucina.evaluate.learning_curve import learning_curve
from fucina.evaluate.measure import measure
from fucina.evaluate.must_fix import must_fix, must_fix_texts, require_known
from fucina.evaluate.opinions import Judge, Matter
from fucina.evaluate.order import labels_like, spans_like, texts_like
from fucina.evaluate.outcome import facts, outcome
from fucina.evaluate.parts import baselines_of_parts, outside, without_parts
from fucina.evaluate.persona import Persona, idle, lines_of, persona_sentences
from fucina.evaluate.report import report
from fucina.evaluate.report_costs import tokens_told
from fucina.evaluate.span_trust import calibrate_spans
from fucina.evaluate.spans import compare_spans, judge_spans, measure_spans, span_outcome
from fucina.evaluate.summary import as_csv, missed_goals, verdict
from fucina.evaluate.text_outcome import text_outcome
from fucina.evaluate.texts import judge_texts, marked, measure_texts
from fucina.evaluate.true_answers import TRUE, beside, trait_name
from fucina.evaluate.trust import sentences
from fucina.evaluate.voice import FEWEST, Line, listen

__all__ = [
    "FEWEST",
    "TRUE",
    "Judge",
    "Line",
    "Matter",
    "Persona",
    "as_csv",
    "as_html",
    "as_markdown",
    "as_table",
    "baseline",
    "baselines_of_parts",
    "beside",
    "calibrate",
    "calibrate_spans",
    "compare",
    "compare_spans",
    "compare_texts",
    "contest",
    "facts",
    "held_and_free",
    "idle",
    "judge",
    "judge_spans",
    "judge_texts",
    "labels_like",
    "learning_curve",
    "lines_of",
    "listen",
    "marked",
    "measure",
    "measure_spans",
    "measure_texts",
    "missed_goals",
    "must_fix",
    "must_fix_texts",
    "outcome",
    "outside",
    "persona_sentences",
    "report",
    "require_known",
    "sentences",
    "span_outcome",
    "spans_like",
    "text_outcome",
    "texts_like",
    "tokens_told",
    "trait_name",
    "verdict",
    "without_parts",
]
