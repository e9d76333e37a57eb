"""Planted secrets are in no byte of a run; the planting and the search are those of the benchmark."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent.parent.parent / "bench"


@pytest.fixture
def redaction(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    spec = importlib.util.spec_from_file_location("redaction", BENCH / "redaction.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("bars", None)


def test_planted_secrets_are_in_no_byte_of_the_run(redaction, tmp_path, place, monkeypatch):
    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)
    redaction.plant(tmp_path)
    run = redaction.record(tmp_path)
    everything = b"".join(data for _, data in redaction.every_byte(run))
    assert redaction.found_in(run) == {}
    assert redaction.COMMIT_LIKE.encode() in everything
    assert b"[redacted]" in everything
    assert b"cannot log in with password=" in everything
    with place.open(run) as view:
        git = next(event.fields["git"] for event in view.events("environment") if "git" in event.fields)
    assert git["dirty"] is True
    assert "service_password: [redacted]" in git["diff"]
    assert git["remote"] == "https://[redacted]@example.org/a/b.git"
    assert len(git["commit"]) == 40


def test_the_search_finds_what_is_there(redaction, tmp_path):
    import zlib

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "plain").write_text(f"x {redaction.SECRETS['option']} y")
    packed = b"head" + zlib.compress(redaction.SECRETS["source"].encode() * 3)
    (tmp_path / "run" / "packed").write_bytes(packed)
    assert set(redaction.found_in(tmp_path / "run")) == {"option", "source"}
