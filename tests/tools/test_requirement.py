import pytest

from tools.requirement import requirement


def test_finds_the_requirement_by_the_whole_name():
    groups = {
        "dev": ["torchmetrics>=1", "torch==2.13.0", "x[extra]>=1; python_version > '3'"],
        "bench": ["y"],
    }
    assert requirement("torch", groups) == "torch==2.13.0"
    assert requirement("x", groups).startswith("x[extra]")
    assert requirement("y", groups) == "y"


def test_a_package_nobody_asks_for():
    with pytest.raises(LookupError, match="asks for 'tor'"):
        requirement("tor", {"dev": ["torch==2.13.0"]})
