"""Watching changes nothing: real programs, bare and under `unbug run`, give the same outputs, bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench import same

FRAMEWORKS = ("compiled", "ddp", "with_lightning", "with_transformers", "with_accelerate")


@pytest.fixture(scope="module")
def compiler_cache(tmp_path_factory):
    """One cache for both runs: a graph that watching changed is not found in it, and is compiled again."""
    return str(tmp_path_factory.mktemp("inductor"))


def check(name, folder, *, options=(), env=None):
    script, expected = same.program(name), same.PROGRAMS[name]
    runs = folder / "runs"
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(same.run_bare, script, folder / "bare", options=options, env=env or {})
        two = pool.submit(same.run_watched, script, folder / "watched", runs, options=options, env=env or {})
        bare, watched = one.result(), two.result()
    assert bare.status == expected.status, bare.stderr.decode()
    assert bare.stdout
    assert same.differences(bare, watched) == []
    assert same.recorded(runs, expected) == []


def test_every_program_is_listed():
    there = {path.stem for path in same.FOLDER.glob("*.py")} - {"remains"}
    assert there == set(same.PROGRAMS)


@pytest.mark.parametrize("name", sorted(set(same.PROGRAMS) - set(FRAMEWORKS)))
def test_a_watched_program_is_the_same_program(name, tmp_path):
    check(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_watched_program_of_a_framework_is_the_same_program(name, tmp_path, compiler_cache):
    check(name, tmp_path, env={"TORCHINDUCTOR_CACHE_DIR": compiler_cache})


def test_the_development_mode_of_python_has_nothing_more_to_say(tmp_path):
    check("exits", tmp_path, options=("-X", "dev"))


def test_a_changed_program_is_noticed(tmp_path):
    source = same.program("evaluation").read_text()
    other = tmp_path / "other.py"
    other.write_text(source.replace("manual_seed(23)", "manual_seed(24)") + "open('left', 'w')\n")
    bare = same.run_bare(same.program("evaluation"), tmp_path / "bare")
    changed = same.run_bare(other, tmp_path / "changed")
    told = same.differences(bare, changed)
    assert [text.split(":")[0].split(" (")[0] for text in told] == ["stdout", "leaves files"]


@pytest.mark.parametrize(
    ("ending", "ended"), [("success", "success"), ("exception", "Failed"), ("interrupt", "KeyboardInterrupt")]
)
def test_nothing_remains_of_a_run(ending, ended, tmp_path):
    command = [sys.executable, str(same.FOLDER / "remains.py"), str(tmp_path), ending]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ended"] == ended
    assert told["changed_while_open"] > 20
    assert told["functions_changed"] == []
    assert told["functions_with_taps"] == []
    assert told["names_rebound"] == []
    assert told["state"] == {}
    assert told["kept_alive"] == 0
