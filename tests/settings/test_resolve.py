"""Every setting from every place, in order of precedence; wrong values with their origin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbug.errors import SettingError
from unbug.settings import KNOWN, parse_share, parse_size, resolve


def _resolve(tmp_path, *, flags=None, environ=None, toml=None, file="pyproject.toml"):
    if toml is not None:
        (tmp_path / file).write_text(toml)
    return resolve(flags, environ=environ or {}, start=tmp_path)


def test_defaults(tmp_path):
    settings = _resolve(tmp_path)
    assert settings["budget"] == 0.02
    assert settings["disk"] == 200_000_000
    assert settings["every"] is None
    assert {one.origin for one in settings.all.values()} == {"default"}


def test_a_flag_beats_the_environment_beats_the_file(tmp_path):
    toml = '[tool.unbug]\nbudget = "1%"\ndisk = "1GB"\nname = "file"\n'
    environ = {"UNBUG_BUDGET": "3%", "UNBUG_NAME": "variable"}
    settings = _resolve(tmp_path, flags={"name": "flag"}, environ=environ, toml=toml)
    assert (settings["name"], settings.origin("name")) == ("flag", "--name")
    assert (settings["budget"], settings.origin("budget")) == (0.03, "UNBUG_BUDGET")
    assert (settings["disk"], settings.origin("disk")) == (10**9, str(tmp_path / "pyproject.toml"))


def test_unbug_toml_beats_pyproject_and_the_nearest_file_wins(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.unbug]\nevery = 1\n")
    assert resolve(environ={}, start=inner)["every"] == 1
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.other]\nevery = 9\n")
    assert resolve(environ={}, start=inner)["every"] == 1
    (tmp_path / "a" / "unbug.toml").write_text("every = 2\n")
    assert resolve(environ={}, start=inner)["every"] == 2


def test_privacy_is_a_table(tmp_path):
    toml = '[tool.unbug.privacy]\nsource = "hash"\nconsole = "off"\nenvironment = ["SLURM_*"]\n'
    settings = _resolve(tmp_path, toml=toml, environ={"UNBUG_PRIVACY_CONSOLE": "keep"})
    assert settings["privacy.source"] == "hash"
    assert settings["privacy.console"] == "keep"
    assert settings["privacy.environment"] == ("SLURM_*",)
    assert settings["privacy.diff"] == "keep"


@pytest.mark.parametrize("value", ["0", "false", "NO", "off"])
def test_unbug_0_switches_off(tmp_path, value):
    assert _resolve(tmp_path, environ={"UNBUG": value})["enabled"] is False


def test_a_file_cannot_switch_off_and_an_unknown_setting_names_the_near_one(tmp_path):
    with pytest.raises(SettingError, match=r"`budgett`.*did you mean `budget`"):
        _resolve(tmp_path, toml="[tool.unbug]\nbudgett = 1\n")
    with pytest.raises(SettingError, match="`enabled`"):
        _resolve(tmp_path, toml="[tool.unbug]\nenabled = false\n")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("budget", "200%", "a share such as 2%"),
        ("budget", "fast", "a share such as 2%"),
        ("every", "0", "1 or more"),
        ("every", "2.5", "1 or more"),
        ("disk", "12 parsecs", "200MB"),
        ("fail_on", "note", '"error" or "warning"'),
        ("quiet", "perhaps", "0 or 1"),
    ],
)
def test_a_wrong_value_says_what_is_allowed_and_where_it_came_from(tmp_path, name, value, says):
    variable = KNOWN[name].variable
    with pytest.raises(SettingError) as raised:
        _resolve(tmp_path, environ={variable: value})
    assert says in str(raised.value)
    assert variable in str(raised.value)
    assert repr(value) in str(raised.value)
    assert raised.value.exit_code == 2


def test_broken_toml_is_told_where_it_is_ours(tmp_path):
    with pytest.raises(SettingError, match=r"unbug\.toml"):
        _resolve(tmp_path, toml="budget = = 1", file="unbug.toml")
    (tmp_path / "unbug.toml").unlink()
    assert _resolve(tmp_path, toml="[tool.other]\nx = = 1")["budget"] == 0.02


def test_directory_is_the_nearest_runs_folder_upwards(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert resolve(environ={}, start=inner).directory.value == inner / "unbug-runs"
    (tmp_path / "unbug-runs").mkdir()
    found = resolve(environ={}, start=inner).directory
    assert (found.value, found.origin) == (tmp_path / "unbug-runs", "nearest unbug-runs/ upwards")
    environ = {"UNBUG_DIR": str(tmp_path / "x")}
    assert resolve(environ=environ, start=inner).directory.origin == "UNBUG_DIR"
    assert resolve({"dir": "y"}, environ=environ, start=inner).directory.value.name == "y"


@given(st.integers(1, 99_999))
def test_a_percentage_is_a_share(hundredths):
    assert parse_share(f"{hundredths / 1000}%") == pytest.approx(hundredths / 100_000)


@given(st.integers(1, 10**6), st.sampled_from([("kB", 10**3), ("MiB", 2**20), ("gb", 10**9), ("", 1)]))
def test_a_size_with_a_unit(number, unit):
    assert parse_size(f"{number} {unit[0]}".strip()) == number * unit[1]
