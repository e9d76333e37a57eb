"""Probes in a process of their own: what they do stays there, and a child that fails is no harm."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from unbug.checks import Asked, ask_probes, can_be_apart, in_child
from unbug.checks.probes import Subject

sys.path.insert(0, str(Path(__file__).parent))

import programs

pytestmark = pytest.mark.skipif(not can_be_apart(), reason="children are forked on Linux without CUDA only")


def asked(name, **numbers):
    return Asked(name, 0, "Net", 0.1, numbers)


def in_a_child(work, *, limit_s=20.0, stop=lambda: False):
    return in_child(work, limit_s=limit_s, stop=stop, training=3)


def children():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def test_what_is_told_comes_back_and_nothing_else_does(capfd):
    state = {"value": torch.zeros(3)}

    def work():
        state["value"] += 1
        print("aloud", flush=True)
        os.write(2, b"aloud")
        yield asked("one", share=0.5, classes=["Linear"], nothing=None, big=float("inf"))
        yield asked("two", tensor=torch.tensor(2.5))

    before = children()
    told = in_a_child(work)
    assert [(one.probe, one.numbers) for one in told.asked] == [
        ("one", {"share": 0.5, "classes": ["Linear"], "nothing": None, "big": float("inf")}),
        ("two", {"tensor": 2.5}),
    ]
    assert torch.equal(state["value"], torch.zeros(3))
    assert capfd.readouterr() == ("", "")
    assert children() == before


def test_memory_is_the_childs():
    def work():
        kept = torch.ones(100 << 18)  # 100 MB
        yield asked("one", sum=float(kept[0]))

    assert 95 <= in_a_child(work).peak_mb <= 150


def test_pages_that_a_probe_writes_count():
    shared = torch.zeros(50 << 18)

    def work():
        shared.fill_(1.0)
        yield asked("one")

    assert 45 <= in_a_child(work).peak_mb <= 90
    assert float(shared[0]) == 0.0


def test_what_was_told_before_it_crashed_is_kept():
    def work():
        yield asked("one")
        os.kill(os.getpid(), signal.SIGSEGV)

    told = in_a_child(work).asked
    assert [one.probe for one in told] == ["one", "all"]
    assert told[1].why_not == "their process ended with signal 11" and told[1].training == 3


def test_one_that_raises_is_told_of():
    def work():
        raise ZeroDivisionError
        yield

    assert [one.why_not for one in in_a_child(work).asked] == ["their process failed"]


def test_one_that_hangs_is_ended_in_time():
    def work():
        yield asked("one")
        time.sleep(60)

    began = time.monotonic()
    told = in_a_child(work, limit_s=0.5)
    assert [one.why_not for one in told.asked] == ["", "the time for probes was over"]
    assert 0.45 <= time.monotonic() - began < 5
    assert children() == []


def test_whoever_waits_for_the_end_ends_it():
    began = time.monotonic()
    told = in_a_child(lambda: time.sleep(60), stop=lambda: time.monotonic() - began > 0.2)
    assert [one.why_not for one in told.asked] == ["somebody waits for the end"]
    assert time.monotonic() - began < 5


def test_a_program_that_hears_of_its_children_gets_none():
    before = signal.getsignal(signal.SIGCHLD)  # other tests of this process may have asked to hear
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        assert can_be_apart()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        assert not can_be_apart()
    finally:
        signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


def test_where_no_process_can_be_made_there_is_none(monkeypatch):
    def refused():
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", refused)
    files = len(os.listdir("/proc/self/fd"))
    assert in_a_child(lambda: ()) is None
    assert len(os.listdir("/proc/self/fd")) == files


def test_the_probes_say_the_same_there(probe):
    here = probe(
        lambda: programs.fit(programs.perceptron(16, nn.BatchNorm1d(16)), *programs.blobs(), steps=20)
    )
    there = in_a_child(lambda: ask_probes(probe.kept, limit_s=20.0, alone=True)).asked
    assert [one.probe for one in there] == list(here)
    assert [one.why_not for one in there] == [one.why_not for one in here.values()]
    modes = next(one for one in there if one.probe == "modes")
    for name, number in here["modes"].numbers.items():
        assert modes.numbers[name] == pytest.approx(number, rel=1e-4, abs=1e-6), name


def test_copies_share_what_they_do_not_train(probe):
    model = programs.perceptron(16, nn.BatchNorm1d(16))
    probe(lambda: programs.fit(model, *programs.blobs(), steps=4), among=())
    kept = next(iter(probe.kept.models.values()))
    weight = next(model.parameters())
    for alone in (True, False):
        subject = Subject(kept, most_bytes=1 << 20, alone=alone)
        copies = [subject.template, subject.model(), subject.model(train_mode=True)]
        places = {next(one.parameters()).data_ptr() for one in copies}
        assert (places == {weight.data_ptr()}) is alone
        assert weight.data_ptr() not in {next(subject.pupil().parameters()).data_ptr()}
        buffers = {one[1].running_mean.data_ptr() for one in (*copies, subject.pupil(), model)}
        assert len(buffers) == 5
