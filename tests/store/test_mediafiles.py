"""Files of media: named by content, within a budget, the last of each name always there."""

from __future__ import annotations

import hashlib
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from unbug.store import MediaFiles


def files(path):
    folder = path / "media"
    return {one.name: one.stat().st_size for one in folder.iterdir()} if folder.exists() else {}


def test_a_file_is_named_by_its_content_and_written_once(tmp_path):
    kept = MediaFiles(tmp_path, budget_bytes=1000)
    first = kept.keep("a", b"one", "txt")
    assert first == hashlib.sha256(b"one").hexdigest() + ".txt"
    assert kept.keep("b", b"one", "txt") == first
    assert (tmp_path / "media" / first).read_bytes() == b"one"
    assert files(tmp_path) == {first: 3}
    assert (tmp_path / "media").stat().st_mode & 0o777 == 0o700
    assert kept.size_bytes == 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 60), st.integers(0, 9)), min_size=1, max_size=60
    ),
    st.integers(100, 600),
)
def test_thinning_keeps_to_the_budget_and_the_last_of_each_name(tmp_path_factory, given_, budget):
    path = tmp_path_factory.mktemp("run")
    kept = MediaFiles(path, budget_bytes=budget)
    last = {}
    for name, size, content in given_:
        last[name] = kept.keep(name, bytes([content]) * size, "txt")
    there = files(path)
    assert set(last.values()) <= set(there)
    assert sum(there.values()) == kept.size_bytes
    assert kept.size_bytes <= max(budget, sum(there[file] for file in set(last.values())))
    assert bool(kept.thinned) == bool(kept.in_words())


def test_old_ones_are_thinned_and_not_cut_off(tmp_path):
    kept = MediaFiles(tmp_path, budget_bytes=1000)
    names = [kept.keep("a", number.to_bytes(2, "big") * 50, "txt") for number in range(40)]
    there = [number for number, name in enumerate(names) if name in files(tmp_path)]
    assert len(there) <= 10
    assert there[-1] == 39
    assert there[0] == 0
    assert sum(number >= 20 for number in there) >= sum(number < 20 for number in there)
    assert kept.in_words() == (
        f"{40 - len(there)} of 40 media were thinned out, the oldest first, to keep to 1 kB",
    )


def test_a_folder_that_was_deleted_is_not_made_again(tmp_path):
    gone = tmp_path / "gone"
    kept = MediaFiles(gone, budget_bytes=1000)
    assert kept.keep("a", b"x", "txt") is None
    assert not gone.exists()
    assert "1 media could not be written" in kept.in_words()[0]


def test_a_link_is_not_written_through(tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    run = tmp_path / "run"
    (run / "media").mkdir(parents=True)
    os.symlink(outside, run / "media" / f"{hashlib.sha256(b'other').hexdigest()}.txt")
    MediaFiles(run, budget_bytes=1000).keep("a", b"other", "txt")
    assert outside.read_bytes() == b"mine"
