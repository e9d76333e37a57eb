"""Planted secrets are in no byte of a run; the planting and the search are those of the benchmark."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest
import torch

import unbug

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


def test_secrets_in_names_of_numbers_and_modules_are_in_no_byte(redaction, tmp_path, monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", "-".join(("variable", "034")))
    secrets = [
        f"{kind}-03{number}" for number, kind in enumerate(("logged", "logged", "module"))
    ]  # not in source
    with unbug.run(dir=tmp_path, name="names", quiet=True) as run:
        model = torch.nn.Sequential()
        model.add_module(f"token={secrets[2]}", torch.nn.Linear(2, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for value in range(30):
            model(torch.ones(4, 2)).mean().backward()
            optimizer.step()
            names = f"token={secrets[0]}", f"token={secrets[1]}", f"of/{os.environ['SERVICE_TOKEN']}"
            run.log(dict.fromkeys(names, value))
    everything = b"".join(data for _, data in redaction.every_byte(run.path))
    assert [
        secret for secret in (*secrets, os.environ["SERVICE_TOKEN"]) if secret.encode() in everything
    ] == []
    with unbug.open(run.path) as view:
        assert len(view.read("of/[redacted]").values) == 30


def test_the_search_finds_what_is_there(redaction, tmp_path):
    import zlib

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "plain").write_text(f"x {redaction.SECRETS['option']} y")
    packed = b"head" + zlib.compress(redaction.SECRETS["source"].encode() * 3)
    (tmp_path / "run" / "packed").write_bytes(packed)
    assert set(redaction.found_in(tmp_path / "run")) == {"option", "source"}
