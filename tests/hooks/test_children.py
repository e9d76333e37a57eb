"""Python children of a recorded program attach once they import torch, and are otherwise as without."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from unbug.hooks import child_environment, when_torch_loads


def start(program: str, folder: Path, variables: dict[str, str]) -> tuple[int, str, str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "UNBUG"))}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", **variables}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=folder, env=environment,
                          capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def fake(tmp_path: Path) -> dict[str, str]:
    """A `torch` that loads at once, and an `unbug.session` that says when it is called."""
    (tmp_path / "lib" / "torch").mkdir(parents=True)
    (tmp_path / "lib" / "torch" / "__init__.py").write_text("loaded = True\nprint('torch')\n")
    (tmp_path / "lib" / "unbug" / "session").mkdir(parents=True)
    (tmp_path / "lib" / "unbug" / "__init__.py").write_text("")
    (tmp_path / "lib" / "unbug" / "session" / "__init__.py").write_text(
        "import sys\ndef attach_child(run): print('attached', run, sys.modules['torch'].loaded)\n"
    )
    return {"PYTHONPATH": str(tmp_path / "lib")}


def within(variables: dict[str, str], run: Path) -> dict[str, str]:
    return {**variables, **child_environment(run, variables)}


def test_the_environment_names_the_run_and_keeps_the_users_path(tmp_path: Path) -> None:
    made = child_environment(tmp_path, {"PYTHONPATH": f"/a{os.pathsep}/b"})
    ours, *others = made["PYTHONPATH"].split(os.pathsep)
    assert (Path(ours) / "sitecustomize.py").exists()
    assert others == ["/a", "/b"]
    assert made["UNBUG_RUN_PATH"] == str(tmp_path)
    assert child_environment(tmp_path, made)["PYTHONPATH"] == made["PYTHONPATH"]
    assert child_environment(tmp_path, {})["PYTHONPATH"] == ours
    assert child_environment(tmp_path, {"UNBUG": "0"}) == {}


def test_a_child_attaches_right_after_torch(tmp_path: Path, fake: dict[str, str]) -> None:
    code, out, errors = start("import torch; print('on')", tmp_path, within(fake, tmp_path / "run"))
    assert (code, errors) == (0, "")
    assert out.splitlines() == ["torch", f"attached {tmp_path / 'run'} True", "on"]


SHOW = """
import sys
print(sys.path[1:], sorted(name for name in sys.modules if "unbug" in name or "custom" in name))
print([type(finder).__name__ for finder in sys.meta_path if "unbug" in type(finder).__module__])
"""


def test_a_child_without_torch_sees_nothing(tmp_path: Path, fake: dict[str, str]) -> None:
    bare = start(SHOW, tmp_path, fake)
    assert bare[0] == 0
    code, out, errors = start(SHOW, tmp_path, within(fake, tmp_path))
    assert (code, errors) == (0, "")
    assert out.splitlines()[0] == bare[1].splitlines()[0]
    assert out.splitlines()[1] == "['_Finder']"


def test_after_torch_nothing_is_left(tmp_path: Path, fake: dict[str, str]) -> None:
    show = """
        import torch, sys
        print(type(torch.__loader__), type(torch.__spec__.loader))
        print([type(f).__module__ for f in sys.meta_path])
    """
    bare = start(show, tmp_path, fake)[1].splitlines()
    bare.insert(1, f"attached {tmp_path} True")
    assert start(show, tmp_path, within(fake, tmp_path))[1].splitlines() == bare


@pytest.mark.parametrize(
    "text",
    [
        "import sys; print('mine', __name__, len(sys.path))",
        "1 / 0",
        "import no_such_module",
    ],
)
def test_the_users_own_sitecustomize_is_as_without(text: str, tmp_path: Path, fake: dict[str, str]) -> None:
    (tmp_path / "lib" / "sitecustomize.py").write_text(text)
    program = "import sys; print(sys.modules.get('sitecustomize'))"
    assert start(program, tmp_path, within(fake, tmp_path)) == start(program, tmp_path, fake)


def test_switched_off_nothing_happens(tmp_path: Path, fake: dict[str, str]) -> None:
    for variables in ({"UNBUG": "0"}, {"UNBUG_RUN_PATH": ""}):
        code, out, errors = start("import torch", tmp_path, within(fake, tmp_path) | variables)
        assert (code, out, errors) == (0, "torch\n", "")


def test_an_environment_without_unbug_is_left_alone(tmp_path: Path, fake: dict[str, str]) -> None:
    (tmp_path / "lib" / "unbug" / "session" / "__init__.py").write_text("import no_such_module")
    code, out, errors = start("import torch", tmp_path, within(fake, tmp_path))
    assert (code, out, errors) == (0, "torch\n", "")


def test_a_fault_while_attaching_is_one_line(tmp_path: Path, fake: dict[str, str]) -> None:
    (tmp_path / "lib" / "unbug" / "session" / "__init__.py").write_text(
        "def attach_child(run): raise OSError('full')"
    )
    code, out, errors = start("import torch", tmp_path, within(fake, tmp_path))
    assert (code, out) == (0, "torch\n")
    assert errors == "unbug: this process is not recorded: full\n"


def test_a_torch_that_fails_to_load_is_tried_again(tmp_path: Path, fake: dict[str, str]) -> None:
    (tmp_path / "lib" / "torch" / "__init__.py").write_text(
        "import os\nif os.environ.pop('BREAK', 0): raise ImportError('broken')\nloaded = True"
    )
    program = """
        try: import torch
        except ImportError as error: print(error)
        import torch
    """
    code, out, errors = start(program, tmp_path, within(fake, tmp_path) | {"BREAK": "1"})
    assert (code, errors) == (0, "")
    assert out.splitlines() == ["broken", f"attached {tmp_path} True"]


def test_grandchildren_attach_too(tmp_path: Path, fake: dict[str, str]) -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import torch'])"
    code, out, errors = start(program, tmp_path, within(fake, tmp_path))
    assert (code, errors) == (0, "")
    assert out.splitlines() == ["torch", f"attached {tmp_path} True"]


def test_waiting_for_torch_can_be_forgotten_and_is_over_at_once_if_it_is_there(tmp_path: Path) -> None:
    import torch

    seen: list[str] = []
    forget = when_torch_loads(lambda: seen.append(torch.__version__))
    assert seen == [torch.__version__]
    forget()
    program = """
        import sys
        from unbug.hooks import when_torch_loads
        before = list(sys.meta_path)
        forget = when_torch_loads(lambda: print("first"))
        other = when_torch_loads(lambda: print("second"))
        forget(), forget()
        import torch
        loader = torch.__loader__
        print(torch.__spec__.loader is loader, type(loader).__name__, sys.meta_path == before)
        other()
    """
    code, out, errors = start(program, tmp_path, {"PYTHONPATH": str(Path(__file__).parents[2] / "src")})
    assert (code, errors) == (0, "")
    assert out.splitlines() == ["second", "True SourceFileLoader True"]
