"""Compiled taps are kept for later processes, and never taken from a file that is not to be trusted."""

import os

import pytest
import torch

from unbug.hooks.kept import Kept, digest
from unbug.hooks.tap import make_tap


def tap(kept, told, *, names=("tensors",)):
    return make_tap(
        torch.autograd.backward,
        enter=lambda *given: told.append(given),
        leave=lambda *given: None,
        enter_names=names,
        kept=kept,
    )


def test_a_kept_tap_is_the_one_that_would_be_compiled(tmp_path):
    path = tmp_path / "taps.bin"
    first, told = Kept(path), []
    compiled = tap(first, told)
    first.save()
    later = Kept(path)
    key = next(iter(later._codes))
    assert later.get(key) is not None
    again = tap(later, told)
    assert not later._new
    assert (again.code.co_code, again.code.co_linetable) == (
        compiled.code.co_code,
        compiled.code.co_linetable,
    )
    function = torch.autograd.backward
    original = function.__code__
    loss = (torch.ones(2, requires_grad=True) * 2).sum()
    try:
        function.__code__ = again.code
        loss.backward()
    finally:
        function.__code__ = original
    assert len(told) == 1 and told[0][0] is loss


def test_other_names_and_other_code_have_other_keys():
    code = torch.autograd.backward.__code__
    keys = {
        digest(code, "", None, ("a",)),
        digest(code, "", None, ("b",)),
        digest(tap.__code__, "", None, ("a",)),
    }
    assert len(keys) == 3


@pytest.mark.parametrize("harm", ["cut", "flip", "open", "empty"])
def test_a_file_that_is_not_as_it_was_written_is_not_read(tmp_path, harm):
    path = tmp_path / "taps.bin"
    kept = Kept(path)
    tap(kept, [])
    kept.save()
    data = path.read_bytes()
    if harm == "cut":
        path.write_bytes(data[:-5])
    elif harm == "flip":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif harm == "empty":
        path.write_bytes(b"")
    else:
        os.chmod(path, 0o666)
    assert Kept(path)._codes == {}


def test_a_folder_that_cannot_be_written_does_not_matter(tmp_path):
    (tmp_path / "file").write_text("")
    kept = Kept(tmp_path / "file" / "taps.bin")
    assert tap(kept, []).code
    kept.save()
