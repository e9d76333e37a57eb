"""`UNBUG=1 python train.py`: recorded by the `unbug.pth` that an installation brings along."""

from __future__ import annotations

import shutil
import site
import subprocess
import venv
from pathlib import Path

import pytest

import unbug
from unbug.types import RunState

PACKAGE = Path(unbug.__file__).parent


@pytest.fixture
def installed(place):
    """A Python with unbug as a wheel installs it, and torch from the environment of these tests."""
    folder = place.folder / "venv"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    words = [python, "-c", "import site; print(site.getsitepackages()[0])"]
    packages = Path(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())
    (packages / "unbug").symlink_to(PACKAGE)
    shutil.copy(PACKAGE / "hooks" / "child" / "unbug.pth", packages)
    (packages / "zz.pth").write_text("\n".join(site.getsitepackages()) + "\n")

    def run(*words, code=0, **environment):
        kept = place.environment(**environment)
        del kept["PYTHONPATH"]
        done = subprocess.run(
            [python, *words],
            cwd=place.folder,
            env=kept,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


def test_a_program_is_recorded_and_speaks_at_its_end(place, installed):
    place.write("import sys\nfrom training import *\nprint(f'{train(30):.6f}', sys.argv)")
    bare = installed("program.py", "--lr", "1")
    assert not place.runs.exists()
    done = installed("program.py", "--lr", "1", UNBUG="1")
    assert done.stdout == bare.stdout
    assert "report unbug report" in done.stderr
    with place.open() as view:
        assert view.run.name == "program"
        assert view.run.facts["program"] == ["program.py", "--lr", "1"]
        assert view.status.state is RunState.FINISHED
        assert view.status.steps == 30
    installed("-m", "training", UNBUG="1", UNBUG_QUIET="1")
    installed(
        "-c", "from training import *; train(3); raise ValueError('x')", UNBUG="1", UNBUG_QUIET="1", code=1
    )
    with place.open() as view:
        assert view.run.name == "session"
        assert view.status.state is RunState.FAILED


def test_commands_of_unbug_and_programs_without_torch_make_no_run(place, installed):
    place.write("import sys; print(sorted(name for name in sys.modules if 'unbug' in name))")
    assert installed("program.py", UNBUG="1").stdout == "[]\n"
    place.write("from training import *; train(5)")
    installed("-m", "unbug", "run", "--quiet", "program.py", UNBUG="1")
    installed("-m", "unbug", "doctor", UNBUG="1")
    assert [path.name for path in place.runs.iterdir() if (path / "run.json").exists()] == ["program"]


def test_a_launcher_that_clears_the_python_path(place, installed):
    place.write("from training import *; print(train(30) > 0)", "one.py")
    place.write(
        "import os, subprocess, sys\nos.environ.pop('PYTHONPATH', None)\n"
        "sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))",
        "clears.py",
    )
    python = str(place.folder / "venv" / "bin" / "python")
    done = installed("-m", "unbug", "run", "--quiet", "--", python, "clears.py", "one.py")
    assert done.stdout == "True\n"
    with place.open() as view:
        assert len(view.read("loss.value").values) == 30


@pytest.mark.slow
def test_torchrun_is_one_run(place, installed):
    place.write(
        """
        import torch, torch.distributed as dist
        from torch import nn
        dist.init_process_group("gloo")
        model = nn.parallel.DistributedDataParallel(nn.Linear(4, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(25):
            optimizer.zero_grad()
            model(torch.ones(2, 4)).square().mean().backward()
            optimizer.step()
        dist.destroy_process_group()
        """
    )
    words = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "program.py")
    installed(*words, UNBUG="1", UNBUG_QUIET="1")
    assert len([path for path in place.runs.iterdir() if (path / "run.json").exists()]) == 1
    with place.open() as view:
        assert sorted(set(view.read("loss.value").rank.tolist())) == [0, 1]
        assert len(view.read("loss.value").values) == 50


def test_another_version_is_told(place, installed):
    program = """
        import json, os, subprocess, sys
        import unbug
        if len(sys.argv) > 1:
            unbug.__version__ = "0.0.9"
            from training import *
            train(5)
        else:
            unbug.__version__ = "9.9"
            with unbug.run(quiet=True):
                os.environ.pop("UNBUG_QUIET")
                subprocess.run([sys.executable, __file__, "child"], check=True)
    """
    done = installed(place.write(program))
    assert "has unbug 0.0.9, the run was begun by 9.9" in done.stderr
    assert "install one version everywhere" in done.stderr
    with place.open() as view:
        unseen = [line for event in view.events("coverage") for line in event.fields["unseen"]]
        assert any("has unbug 0.0.9" in line for line in unseen)
        assert len(view.read("loss.value").values) == 5
