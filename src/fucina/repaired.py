"""Write repaired copies of a recipe's files, with a report of every row that was touched."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fucina import data, run
from fucina.errors import DataError
from fucina.records import Dataset, Finding

__all__ = ["write_repaired"]


def write_repaired(
    subject: data.Subject, findings: Sequence[Finding], folder: Path
) -> dict[str, Any]:
    """Write train.jsonl, validation.jsonl, test.jsonl and repairs.json into a new folder.

    Args:
        subject: The rows that were audited.
        findings: What the audit found.
        folder: Must not exist yet, so that nothing is overwritten.

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
    for rows in subject.sides:
        kept, done = data.repair(rows, findings)
        run.write_text(unfinished / f"{rows.name}.jsonl", "".join(_lines(kept)))
        files.append(
            {
                "read": rows.examples[0].origin.rsplit(":", 1)[0],
                "read_rows": len(rows),
                "columns": dict(rows.columns),
                "written": str(folder.resolve() / f"{rows.name}.jsonl"),
                "rows": len(kept),
                "dropped": [asdict(repair) for repair in done if repair.action == "dropped"],
                "rewritten": [asdict(repair) for repair in done if repair.action == "rewritten"],
            }
        )
    paths = " ".join(
        f"data.{rows.name}={file['written']}"
        for rows, file in zip(subject.sides, files, strict=True)
    )
    group = " data.group=group" if any(e.group for e in subject.train.examples) else ""
    report = {
        "files": files,
        "next": f"fucina train RECIPE {paths} data.text=text data.label=label{group}",
    }
    run.write_json(unfinished / "repairs.json", report)
    unfinished.rename(folder)  # whole or not at all
    return report


def _lines(rows: Dataset) -> list[str]:
    lines = []
    grouped = any(example.group for example in rows.examples)
    for example in rows.examples:
        row = {"text": example.prompt, "label": example.target}
        if grouped:
            row["group"] = example.group
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return lines
