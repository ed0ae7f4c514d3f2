"""How the states of a text become one: as the model was trained to be read."""

import json
import os
import shutil
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("modes", "expected"),
    [({"pooling_mode_cls_token": True}, "cls"), ({"pooling_mode_lasttoken": True}, "last"),
     ({}, "mean"), (None, "mean")],
)  # fmt: skip
def test_a_model_of_the_hub_says_how_it_is_pooled(modes, expected, make_base, tmp_path):
    """As the hub's client keeps it on this disk; without a file the attention decides."""
    revision = "0" * 40
    kept = tmp_path / "models--somebody--encoder"
    snapshot = kept / "snapshots" / revision
    shutil.copytree(make_base("bert"), snapshot)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(revision, encoding="utf-8")
    if modes is not None:
        (snapshot / "1_Pooling").mkdir()
        (snapshot / "1_Pooling" / "config.json").write_text(json.dumps(modes), encoding="utf-8")
    code = (
        "from fucina.config import ModelConfig\nfrom fucina.models import base\n"
        "print(base.load(ModelConfig(base='somebody/encoder')).pooling)"
    )
    nowhere = {"HF_HUB_CACHE": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    plain = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=plain | nowhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == expected, done.stderr
    assert "Retrying" not in done.stderr  # without a network nothing is asked of it
