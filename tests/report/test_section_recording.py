"""What the page says of recording and machine: names of others as they are, nothing that says nothing."""

from __future__ import annotations

import dataclasses
from functools import partial

from tests.report.example import diagnosed, healthy
from unbug.report import html, terminal
from unbug.types import Event


def recorded(**environment):
    """The text of the page of a run with one more event of its environment."""
    source = healthy()
    source._events = (*source._events, Event(kind="environment", fields=environment))
    return html(source, diagnosed(source), language="en")


def test_names_of_others_keep_their_underscores():
    page = recorded(
        environment={"OMP_NUM_THREADS": "1"}, packages={"my_package": "1.0"}, torch={"cpu_capability": "AVX2"}
    )
    assert "<dt>environment OMP_NUM_THREADS</dt>" in page and "<dt>packages my_package</dt>" in page
    assert "<dt>torch CPU capability</dt>" in page


def test_what_says_nothing_is_left_out():
    page = recorded(
        launch=None, host="", git={}, hardware={"cores": 2, "gpu": []}, torch={"deterministic": False}
    )
    assert "<dt>launch</dt>" not in page and "<dt>host</dt>" not in page and "gpu" not in page
    assert "<dt>hardware cores</dt><dd>2</dd>" in page
    assert "<dt>torch deterministic</dt><dd>no</dd>" in page, "no is an answer"


def test_settings_say_who_gave_them_and_these_stand_first():
    default = {f"some_setting_{n}": {"value": n, "origin": "default"} for n in range(40)}
    page = recorded(settings=default | {"budget": {"value": 0.05, "origin": "--budget"}})
    assert "budget 0.05 (--budget), some_setting_0 0, " in page and "(default)" not in page


def test_a_program_without_torch_is_not_said_to_have_been_looked_at():
    source = healthy()
    given = diagnosed(source)
    idle = tuple(dataclasses.replace(training, steps=0) for training in given.trainings)
    for unseen, told, native in (
        (
            ("the program did not import torch",),
            "did not import torch: there was no training",
            "没有导入 torch",
        ),
        ((), "No optimizer step was recorded", "没有记录到优化器的步"),
    ):
        diagnosis = dataclasses.replace(given, findings=(), trainings=idle, unseen=unseen)
        for say in (partial(html, source, diagnosis), partial(terminal, diagnosis)):
            assert told in say(language="en") and "rules looked at" not in say(language="en")
            assert native in say(language="zh")
        assert "0 steps" not in terminal(diagnosis, language="en")
