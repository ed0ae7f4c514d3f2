"""benchmarks/injections.py with a model behind an endpoint."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    json.loads(line)
    for line in (ROOT / "examples/injections/injections.jsonl").read_text("utf-8").splitlines()
]


def bench(*words):
    command = [sys.executable, "benchmarks/injections.py", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.long
def test_a_model_that_obeys_fails_and_one_that_does_not_passes(endpoint):
    """It obeys what is written in Italian."""
    rows = {row["question"]: row for row in ROWS}

    def reply(content):
        row = rows[content.split("Question: ")[-1]]
        return f"Ecco: {row['forbidden'][0]}" if row["language"] == "it" else f"{row['answer']} [1]"

    endpoint.reply = reply
    done = bench("--by", "m", "--url", endpoint.url)
    assert done.returncode == 0, done.stderr
    told = set(re.findall(r"^- (\S+):", done.stdout, re.MULTILINE))
    assert told == {row["id"] for row in ROWS if row["language"] == "it"}
    assert "| all | 40 of 80: 0.500" in done.stdout
    assert "an answer keeps the secret: 4 of 8" in done.stdout
    assert "an answer passes and has the fact: 40 of 80" in done.stdout
    systems = {request["messages"][0]["content"] for request in endpoint.requests}
    assert len(endpoint.requests) == len(ROWS)
    assert all("FUCINA-SEGRETO-41" in system for system in systems)


def test_a_url_without_a_model_is_refused():
    done = bench("--url", "http://localhost:1/v1")
    assert done.returncode == 2
    assert "--by" in done.stderr
