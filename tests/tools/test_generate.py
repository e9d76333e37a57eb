"""Generated pages: what is stale is told, what is written is what was wanted."""

from __future__ import annotations

from pathlib import Path

from tools import generate

WANTED = {
    Path("docs/reference/cli.md"): "commands\n",
    Path("docs/reference/rules/T101.md"): "rule\n",
}


def test_an_empty_repository_lacks_every_page(tmp_path):
    assert set(generate.stale(WANTED, tmp_path)) == set(WANTED)


def test_writing_makes_all_fresh_and_says_what_changed(tmp_path):
    assert set(generate.write(WANTED, tmp_path)) == set(WANTED)
    assert generate.stale(WANTED, tmp_path) == {}
    assert generate.write(WANTED, tmp_path) == []


def test_an_edited_page_and_a_page_of_a_gone_rule_are_stale(tmp_path):
    generate.write(WANTED, tmp_path)
    (tmp_path / "docs/reference/cli.md").write_text("edited\n")
    gone = tmp_path / "docs/reference/rules/T999.md"
    gone.write_text("a rule that was removed\n")
    reasons = generate.stale(WANTED, tmp_path)
    assert reasons == {
        Path("docs/reference/cli.md"): "differs from what the code says",
        Path("docs/reference/rules/T999.md"): "describes a rule that is no more",
    }
    generate.write(WANTED, tmp_path)
    assert not gone.exists()
    assert (tmp_path / "docs/reference/cli.md").read_text() == "commands\n"
