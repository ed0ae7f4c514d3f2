"""Write repaired copies of a recipe's files, with a report of every row that was touched."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from shlex import quote
from typing import Any

from fucina import data, run
from fucina.errors import DataError
from fucina.models.turns import plain_turns
from fucina.records import Answer, Dataset, Finding, Repair

__all__ = ["write_repaired"]

SIDES = ("train", "validation", "test")


def write_repaired(
    subject: data.Subject, findings: Sequence[Finding], folder: Path, *, recipe: str = "RECIPE"
) -> dict[str, Any]:
    """Write train.jsonl, validation.jsonl, test.jsonl and repairs.json into a new folder.

    Rows are written as whole conversations or as columns, whichever they were read as.

    Args:
        subject: The rows that were audited.
        findings: What the audit found.
        folder: Must not exist yet, so that nothing is overwritten.
        recipe: Path of the recipe, for the command that goes on from here.

    Returns:
        The content of repairs.json: for each file what was read, mapped, dropped and rewritten,
        by row.

    Raises:
        DataError: The folder exists.
    """
    if folder.exists():
        raise DataError(f"{folder} exists already.", fix="Give --fix a folder that does not.")
    files = []
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    for rows, kept, done in _repaired(subject, findings):
        written = "".join(_lines(kept, subject.answer, folder))
        run.write_text(unfinished / f"{rows.name}.jsonl", written)
        files.append(
            {
                "read": rows.examples[0].origin.rsplit(":", 1)[0],
                "read_rows": len(rows),
                "format": rows.format,
                "columns": dict(rows.columns),
                "written": str(folder.resolve() / f"{rows.name}.jsonl"),
                "rows": len(kept),
                "dropped": [asdict(repair) for repair in done if repair.action == "dropped"],
                "rewritten": [asdict(repair) for repair in done if repair.action == "rewritten"],
                "turns_left_out": {
                    example.origin: plain_turns(example.left_out)
                    for example in kept.examples
                    if example.left_out
                },
            }
        )
    settings = [
        f"data.{rows.name}={file['written']}"
        for rows, file in zip(subject.sides, files, strict=True)
    ]
    # What the recipe says of the files that were read need not hold for these.
    settings.append("data.encoding=utf-8")
    if subject.answer == "text":
        settings += ["data.format=auto", "data.columns={}"]
    elif subject.answer == "spans":
        settings += ["data.format=jsonl", "data.text=text", "data.columns={}"]
    else:
        settings += ["data.format=jsonl", "data.text=text", "data.label=label"]
    if any(example.group for example in subject.train.examples):
        settings.append("data.group=group")
    command = ["fucina", "train", recipe, *settings]
    report = {"files": files, "next": " ".join(map(quote, command))}
    run.write_json(unfinished / "repairs.json", report)
    unfinished.rename(folder)  # whole or not at all
    return report


def _repaired(
    subject: data.Subject, findings: Sequence[Finding]
) -> list[tuple[Dataset, Dataset, list[Repair]]]:
    """Each file as it was, as it is repaired, and what was done to it.

    A row that was mended may say what another says already, so rows are compared again until
    nothing is left to drop.
    """
    kept = {side: rows for side in SIDES if (rows := getattr(subject, side)) is not None}
    done: dict[str, dict[str, Repair]] = {side: {} for side in kept}
    while any(finding.repairs for finding in findings):
        for side, rows in kept.items():
            kept[side], touched = data.repair(rows, findings, subject.read)
            for repair in touched:
                first = done[side].get(repair.row, repair)
                done[side][repair.row] = replace(repair, before=first.before)
        compared = data.gate(replace(subject, **kept))
        findings = [finding for finding in compared if None in finding.repairs.values()]
    return [
        (getattr(subject, side), rows, list(done[side].values())) for side, rows in kept.items()
    ]


def _lines(rows: Dataset, answer: Answer, folder: Path) -> list[str]:
    written = [data.to_columns(example, answer) for example in rows.examples]
    if answer == "text":
        written = data.to_rows(rows, {}, folder)
    if any(example.group for example in rows.examples):
        written = [{**row, "group": e.group} for row, e in zip(written, rows.examples, strict=True)]
    return [json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in written]
