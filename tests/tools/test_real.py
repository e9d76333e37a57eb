"""The table of public programs: complete, and able to say what is missing."""

import re
import struct
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def real(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import real

    yield real
    for name in ("real", "real_comparing", "real_data", "same", "bars"):
        sys.modules.pop(name, None)


def test_every_program_names_its_version_and_how_it_is_run(real):
    programs = real.table()
    assert len(programs) >= 12
    for name, program in programs.items():
        assert re.fullmatch("[0-9a-f]{40}", program["commit"]), name
        assert program["address"].startswith("https://github.com/") and program["licence"], name
        assert program["command"][0] == "python" and program["style"], name
        assert {recipe for recipe, _ in program.get("data", ())} <= set(real.RECIPES), name
        for pattern in program.get("varies", ()):
            re.compile(pattern.encode())


def test_a_program_that_is_not_there_is_told_with_how_to_fetch_it(real, tmp_path, capsys):
    assert real.main([str(tmp_path), "mnist"]) == 0
    told = capsys.readouterr().out
    commit = real.table()["mnist"]["commit"]
    assert f"git clone https://github.com/pytorch/examples {tmp_path}/examples" in told
    assert f"git -C {tmp_path}/examples checkout {commit}" in told


def test_what_varies_is_left_out_and_nothing_else(real):
    varies = [r"time [\d.]+ms"]
    one = real.masked(b"loss 0.5, time 1.25ms\rloss 0.4, time 9.1ms", varies)
    assert one == real.masked(b"loss 0.5, time 3ms\nloss 0.4, time 2.5ms", varies)
    assert one != real.masked(b"loss 0.5, time 3ms\nloss 0.3, time 2.5ms", varies)


def test_made_digits_have_the_form_of_mnist(real, tmp_path):
    real.RECIPES["mnist"](tmp_path)
    images = (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").read_bytes()
    labels = (tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte").read_bytes()
    assert struct.unpack(">IIII", images[:16]) == (2051, 1536, 28, 28)
    assert len(images) == 16 + 1536 * 28 * 28
    assert set(labels[8:]) == set(range(10))
