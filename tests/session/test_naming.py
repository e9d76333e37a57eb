"""What a run is called that nobody gave a name."""

import pytest

from unbug.session.naming import name_of_module, name_of_script


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/work/mnist/main.py", "mnist"),
        ("/work/mnist/run.py", "mnist"),
        ("/work/mnist/__main__.py", "mnist"),
        ("/work/mnist/train.py", "mnist-train"),
        ("/work/mnist/src/train.py", "mnist-train"),
        ("/work/mnist/scripts/src/main.py", "mnist"),
        ("/work/mnist/distil.py", "distil"),
        ("/work/mnist/Train.py", "mnist-Train"),
        ("/tmp/main.py", "main"),
        ("/main.py", "main"),
        ("/src/bin/train.py", "train"),
        ("/work/mnist/train_gan.py", "train_gan"),
    ],
)
def test_the_folder_says_what_the_script_s_name_does_not(path, name):
    assert name_of_script(path) == name


def test_a_relative_path_and_a_module_are_of_the_current_folder(tmp_path, monkeypatch):
    folder = tmp_path / "digits"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert name_of_script("main.py") == "digits"
    assert name_of_module("train") == "digits-train"
    assert name_of_module("package.train") == "package.train"


def test_the_home_folder_s_name_is_nobody_s(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "anna"))
    assert name_of_script(tmp_path / "anna" / "train.py") == "train"


def test_a_run_is_called_so(place):
    (place.folder / "digits").mkdir()
    (place.folder / "digits" / "main.py").write_text("print(1)")
    place.python("-m", "unbug", "run", "digits/main.py")
    place.python("-m", "unbug", "run", "--", "sh", "-c", "true", "digits/train.py")
    assert {path.name for path in place.runs.iterdir() if path.is_dir()} >= {"digits", "digits-train"}
