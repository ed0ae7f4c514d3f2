"""Every cause that is looked for: a function each, from a case to a cause or None."""

from collections.abc import Callable

from fucina.diagnose.case import Case
from fucina.diagnose.causes import answers, conversations, spans
from fucina.diagnose.causes.amount import (
    class_imbalance,
    test_too_small,
    too_few_examples,
    validation_too_small,
)
from fucina.diagnose.causes.capacity import (
    base_unsuited,
    cold_start,
    no_word_forms,
    rank_too_small,
    too_little_adapted,
    wrong_modules,
)
from fucina.diagnose.causes.labels import confusable_labels, contradictions, label_noise
from fucina.diagnose.causes.mismatch import (
    answer_in_text,
    distribution_shift,
    label_shift,
    leakage,
    template_mismatch,
)
from fucina.diagnose.causes.optimization import (
    batch_too_large,
    learning_rate_high,
    learning_rate_low,
    overfitting,
    regularization,
    stopped_early,
    too_few_epochs,
    warmup,
)
from fucina.diagnose.causes.texts import damaged_text, duplicates, truncation
from fucina.diagnose.span_case import SpanCase
from fucina.diagnose.text_case import TextCase
from fucina.diagnose.training import Training
from fucina.records import Cause

__all__ = ["LABELS", "SETTINGS", "SPANS", "TEXTS"]

# What these look at, texts have as well as labels.
SETTINGS: tuple[Callable[[Training], Cause | None], ...] = (
    learning_rate_low, learning_rate_high, warmup, too_few_epochs, batch_too_large, overfitting,
    stopped_early, regularization, rank_too_small, wrong_modules,
)  # fmt: skip

LABELS: tuple[Callable[[Case], Cause | None], ...] = (
    cold_start, too_little_adapted, base_unsuited, no_word_forms,
    too_few_examples, class_imbalance, test_too_small, validation_too_small,
    label_noise, confusable_labels, contradictions,
    truncation, duplicates, damaged_text,
    leakage, answer_in_text, template_mismatch, distribution_shift, label_shift,
)  # fmt: skip

TEXTS: tuple[Callable[[TextCase], Cause | None], ...] = (
    answers.end_not_learned, answers.answers_cut_off, answers.unlearnt_turns, answers.history_cut,
    answers.cut_answers, answers.boilerplate, answers.style_drift, answers.damaged_text,
    answers.duplicates,
    conversations.system_mismatch, conversations.question_mismatch,
    conversations.template_unlike_base, conversations.base_untrained,
    conversations.too_few_conversations, conversations.scarce_test, conversations.leaked,
    conversations.shifted,
)  # fmt: skip

SPANS: tuple[Callable[[SpanCase], Cause | None], ...] = (
    spans.few_spans, spans.wrong_bounds, spans.mixed_types, spans.names_unseen, spans.no_capitals,
    spans.no_forms, spans.missing_types, spans.scarce_test, spans.leaked, spans.shifted,
    truncation, duplicates,
)  # fmt: skip
