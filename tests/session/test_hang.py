"""A program that stands still is seen, with the stacks of its threads; one that works on is not."""

from __future__ import annotations

import threading
import time

from unbug.session.hang import FACTOR, HangWatch, stacks


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.at = (0, -1, 0, 0)
        self.told = []
        self.watch = HangWatch(lambda: self.at, self.told.append, least_s=120, clock=lambda: self.now)

    def steps(self, count, step_s):
        for _ in range(count):
            self.now += step_s
            self.at = (0, self.at[1] + 1, 0, 0)
            self.watch.look()

    def wait(self, seconds, every=5.0):
        for _ in range(int(seconds / every)):
            self.now += every
            self.watch.look()


def stand(clock, seconds):
    """Let the main thread stand in one place, as seen from another."""

    def waiting():
        time.sleep(0.05)  # until this thread has come to its `join`
        clock.wait(seconds)

    other = threading.Thread(target=waiting)
    other.start()
    other.join()


def test_no_step_for_long_and_at_one_place_is_a_hang_once():
    clock = Clock()
    clock.steps(10, 1.0)
    stand(clock, 115)
    assert clock.told == []
    clock.steps(1, 1.0)
    stand(clock, 125)
    assert len(clock.told) == 1
    told = clock.told[0]
    assert 120 <= told["since_s"] <= 130
    assert told["threshold_s"] == 120
    assert told["median_s"] == 1.0
    (main,) = (frames for name, frames in told["stacks"].items() if name == "MainThread")
    assert any("test_hang.py" in frame and frame.endswith(" in stand") for frame in main)
    stand(clock, 1000)
    assert len(clock.told) == 1
    clock.steps(1, 1.0)
    stand(clock, 130)
    assert len(clock.told) == 2


def test_slow_steps_are_given_more_time():
    clock = Clock()
    clock.steps(10, 30.0)
    stand(clock, FACTOR * 30 - 10)
    assert clock.told == []
    clock.steps(1, 30.0)
    stand(clock, FACTOR * 30 + 50)
    assert [told["threshold_s"] for told in clock.told] == [FACTOR * 30]


def test_an_evaluation_that_works_on_is_none():
    clock = Clock()
    clock.steps(10, 1.0)
    for number in range(60):
        if number % 3 == 1:
            stand(clock, 5)
        else:
            stand(clock, 5)
    assert clock.told == []


def test_few_steps_or_no_training_are_none():
    clock = Clock()
    stand(clock, 1000)
    clock.steps(1, 1.0)
    stand(clock, 1000)
    assert clock.told == []


def test_stacks_are_by_name_and_without_our_own():
    ready, done = threading.Event(), threading.Event()

    def loading():
        ready.set()
        done.wait(30)

    thread = threading.Thread(target=loading, name="loader")
    thread.start()
    ready.wait(30)
    found = {}
    other = threading.Thread(target=lambda: found.update(stacks()), name="ours")
    other.start()
    other.join()
    done.set()
    thread.join()
    assert "ours" not in found
    assert any(frame.endswith("loading") for frame in found["loader"])
    assert "MainThread" in found


def test_a_real_hang_is_an_event(place):
    place.recorded(
        """
        import threading
        from training import *
        train(30)
        train(30)
        threading.Event().wait(6)
        """,
        options=("--quiet",),
        env={"UNBUG_HANG_S": "0.8"},
    )
    with place.open() as view:
        (hang,) = view.events("hang")
        assert hang.step == 59
        assert hang.fields["since_s"] >= 0.8
        assert any("program.py:6 in <module>" in frame for frame in hang.fields["stacks"]["MainThread"])
