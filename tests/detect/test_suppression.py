"""What the user accepts: with a reason, until a day, in the settings or behind a line of the program."""

from __future__ import annotations

from datetime import date

import pytest

from tests.detect.test_engine import broken_run
from unbug.detect import RuleSettings, Suppression, diagnose
from unbug.detect.suppression import comments
from unbug.errors import SettingError
from unbug.session.rules import rule_settings
from unbug.settings import resolve
from unbug.types import Event, chinese

TODAY = date(2026, 6, 1)


def diagnosed(*given: Suppression, source: str = ""):
    events = [
        Event(kind="loop_order", training=0, step=0, fields={"order": "FBS", "file": "train.py", "line": 3}),
        Event(kind="source", fields={"file": "train.py", "text": source}),
    ]
    return diagnose(broken_run(events=events), settings=RuleSettings(suppress=given), today=TODAY)


def state(diagnosis, rule: str = "T101") -> str:
    return next(finding.state for finding in diagnosis.findings if finding.rule == rule)


@pytest.mark.parametrize("what", ["T101", "t101", "missing-zero-grad"])
def test_a_rule_is_accepted_by_code_or_name(what):
    diagnosis = diagnosed(Suppression(what=what, reason="we add gradients up on purpose"))
    finding = next(one for one in diagnosis.findings if one.rule == "T101")
    assert (finding.state, finding.suppression) == ("suppressed", "we add gradients up on purpose")
    assert not finding.is_alert and diagnosis.remarks == ()


def test_one_finding_is_accepted_by_its_fingerprint():
    printed = next(one.fingerprint for one in diagnosed().findings if one.rule == "T101")
    assert state(diagnosed(Suppression(what=printed, reason="known"))) == "suppressed"


def test_the_last_day_counts_and_the_next_does_not():
    assert state(diagnosed(Suppression(what="T101", reason="x", until=TODAY))) == "suppressed"
    over = diagnosed(Suppression(what="T101", reason="till the paper is out", until=date(2026, 5, 31)))
    assert state(over) == "open"
    assert "ended on 2026-05-31" in over.remarks[0] and "till the paper is out" in chinese(over.remarks[0])


def test_what_matches_nothing_or_has_no_reason_is_told():
    diagnosis = diagnosed(Suppression(what="A101", reason="x"), Suppression(what="T101", reason=""))
    assert state(diagnosis) == "open"
    assert ["nothing to ignore for A101" in one or "needs a reason" in one for one in diagnosis.remarks] == [
        True, True,
    ]  # fmt: skip


def test_a_place_narrows_it():
    assert state(diagnosed(Suppression(what="T101", reason="x", place="encoder.*"))) == "open"
    assert state(diagnosed(Suppression(what="T101", reason="x", place="lo*"))) == "suppressed"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a\nb\nloss.backward()  # unbug: ignore[T101] summed on purpose", "suppressed"),
        ("a\n# unbug: ignore[N101, T101 until 2027-01-01] summed on purpose\nloss.backward()", "suppressed"),
        ("a\nb\nloss.backward()  # unbug: ignore[T101 until 2026-01-01] summed on purpose", "open"),
        ("a\nb\nloss.backward()  # unbug: ignore[T101 until spring] summed on purpose", "open"),
        ("a\nb\nloss.backward()  # unbug: ignore[T101]", "open"),
        ("a\nb  # unbug: ignore[T101] another line\nloss.backward()", "open"),
        ('a\nb\nprint("# unbug: ignore[T101] no comment")', "open"),
    ],
)
def test_a_comment_speaks_of_its_line(source, expected):
    diagnosis = diagnosed(source=source)
    assert state(diagnosis) == expected
    told = "unbug: ignore" in source and expected == "open" and "no comment" not in source
    assert bool(diagnosis.remarks) is (told or "N101" in source)


def test_a_comment_written_after_the_run_counts_where_the_line_has_moved(tmp_path):
    file = tmp_path / "train.py"
    file.write_text("import os\na\nb\nloss.backward()  # unbug: ignore[T101] summed on purpose\n")
    events = [
        Event(kind="loop_order", training=0, step=0, fields={"order": "FBS", "file": str(file), "line": 3}),
        Event(kind="source", fields={"file": str(file), "text": "a\nb\nloss.backward()\n"}),
    ]
    assert state(diagnose(broken_run(events=events), today=TODAY)) == "suppressed"


def test_a_later_day_written_after_the_run_counts(tmp_path):
    file, line = tmp_path / "train.py", "loss.backward()  # unbug: ignore[T101 until {}] summed"
    file.write_text("a\nb\n" + line.format("2027-01-01"))
    events = [
        Event(kind="loop_order", training=0, step=0, fields={"order": "FBS", "file": str(file), "line": 3}),
        Event(kind="source", fields={"file": str(file), "text": "a\nb\n" + line.format("2026-01-01")}),
    ]
    diagnosis = diagnose(broken_run(events=events), today=TODAY)
    assert state(diagnosis) == "suppressed" and diagnosis.remarks == ()


def test_a_file_that_is_none_is_not_opened():
    event = Event(kind="source", fields={"file": "/dev/zero", "text": "# unbug"})
    assert diagnose(broken_run(events=[event]), today=TODAY).findings


def test_two_comments_of_one_line_keep_their_days():
    told = list(comments("a.py", "x = 1  # unbug: ignore[A101, A102 until 2027-01-01] sparse"))
    assert [(one.what, one.until, one.lines) for one in told] == [
        ("A101", date(2027, 1, 1), (1,)),
        ("A102", date(2027, 1, 1), (1,)),
    ]


def settings_from(tmp_path, text: str):
    (tmp_path / "unbug.toml").write_text(text)
    return rule_settings(resolve(environ={}, start=tmp_path))


def test_the_settings_hold_reasons_days_and_places(tmp_path):
    given = settings_from(
        tmp_path,
        '[suppress]\nA101 = "sparse by design"\nT101 = { reason = "x", until = 2027-01-01, place = "a.*" }\n'
        'G104 = { reason = "y", until = "2027-02-03" }',
    ).suppress
    assert given == (
        Suppression(what="A101", reason="sparse by design"),
        Suppression(what="T101", reason="x", until=date(2027, 1, 1), place="a.*"),
        Suppression(what="G104", reason="y", until=date(2027, 2, 3)),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[suppress]\nA101 = 1", "a reason, or a table with `reason`"),
        ("[suppress]\nA101 = { until = 2027-01-01 }", "a reason, or a table with `reason`"),
        ('[suppress]\nA101 = { reason = "x", until = "soon" }', "a day such as 2027-01-01"),
        (
            '[suppress]\nA101 = { reason = "x", untl = 2027-01-01 }',
            "untl.*only `reason`, `until` and `place`",
        ),
        ('suppress = "A101"', "a table of rules"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, text, told):
    with pytest.raises(SettingError, match=told):
        settings_from(tmp_path, text)
