"""The run folder: the only place that writes what training and evaluation made.

    runs/<name>/<timestamp>/
      recipe.yaml environment.json data.json     what was asked, with what, on which data
      events.jsonl logs/training_<timestamp>.log tensorboard/
      development.parquet                        the rows that training saw, with their folds
      checkpoint/                                to resume; gone when the run is complete
      best_model_peft_<base>_fold<k>/ or best_model_peft_<base>/
      out_of_fold.parquet predictions.parquet calibration.json metrics.json metrics.csv report.html

A file is written beside its place and renamed, so a killed process leaves the old one or the new.
"""

from fucina.run.clean import clean, removable
from fucina.run.files import (
    append_event,
    append_lines,
    make_beside,
    move_whole,
    read_epochs,
    read_events,
    read_facts,
    read_json,
    read_tensors,
    write_bytes,
    write_json,
    write_tensors,
    write_text,
)
from fucina.run.folder import (
    begin,
    find,
    find_complete,
    grammar_of,
    keep_grammar,
    keep_rules,
    keep_template,
    latest,
    latest_out_of_fold,
    read_recipe,
    refuse_pickle,
    reopen,
    rules_of,
    template_of,
)
from fucina.run.holding import hold
from fucina.run.laps import Lap, Laps
from fucina.run.tables import (
    read_predictions,
    read_rows,
    read_spans,
    read_texts,
    write_answers,
    write_predictions,
    write_rows,
    write_texts,
)

__all__ = [
    "Lap",
    "Laps",
    "append_event",
    "append_lines",
    "begin",
    "clean",
    "find",
    "find_complete",
    "grammar_of",
    "hold",
    "keep_grammar",
    "keep_rules",
    "keep_template",
    "latest",
    "latest_out_of_fold",
    "make_beside",
    "move_whole",
    "read_epochs",
    "read_events",
    "read_facts",
    "read_json",
    "read_predictions",
    "read_recipe",
    "read_rows",
    "read_spans",
    "read_tensors",
    "read_texts",
    "refuse_pickle",
    "removable",
    "reopen",
    "rules_of",
    "template_of",
    "write_answers",
    "write_bytes",
    "write_json",
    "write_predictions",
    "write_rows",
    "write_tensors",
    "write_text",
    "write_texts",
]
