"""Directories that appear whole or not at all, and the cache that is made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgepack.atomic import new_directory
from edgepack.cache import Artefact, Cache, code_digest, tree_digest
from edgepack.errors import ProjectError


def _always(_: Path) -> bool:
    return True


def _never(_: Path) -> bool:
    return False


def _tree(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_it_appears_when_the_block_ends(tmp_path: Path) -> None:
    wanted = tmp_path / "deep" / "project"
    with new_directory(wanted, may_replace=_never) as building:
        (building / "a").write_text("1")
        assert not wanted.exists()
    assert _tree(tmp_path) == {"deep/project/a": "1"}
    assert wanted.stat().st_mode & 0o700 == 0o700


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with (
        pytest.raises(error),
        new_directory(tmp_path / "project", may_replace=_never) as building,
    ):
        (building / "a").write_text("1")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_what_was_there(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "old").write_text("old")
    with pytest.raises(ValueError), new_directory(project, may_replace=_always) as building:
        (building / "new").write_text("new")
        raise ValueError
    assert _tree(tmp_path) == {"project/old": "old"}


def test_it_replaces_what_may_be_replaced(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "old").write_text("old")
    with new_directory(project, may_replace=_always) as building:
        (building / "new").write_text("new")
    assert _tree(tmp_path) == {"project/new": "new"}


def test_it_fills_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    with new_directory(tmp_path / "project", may_replace=_never) as building:
        (building / "new").write_text("new")
    assert _tree(tmp_path) == {"project/new": "new"}


def test_foreign_directories_and_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    (tmp_path / "file").write_text("x")
    before = _tree(tmp_path)
    for name in ("home", "file"):
        with (
            pytest.raises(ProjectError),
            new_directory(tmp_path / name, may_replace=_never),
        ):
            pytest.fail("must refuse before any work is done")
    assert _tree(tmp_path) == before


def test_an_unwritable_parent_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(ProjectError, match="cannot write"),
        new_directory(tmp_path / "file" / "project", may_replace=_never),
    ):
        pytest.fail("must refuse before any work is done")


def _make(cache: Cache, inputs: Mapping[str, object], content: str = "x") -> Artefact:
    return cache.get("stage", inputs, lambda folder: _write(folder / "result", content))


def _write(path: Path, content: str) -> None:
    path.write_text(content)


def test_the_same_inputs_are_not_computed_twice(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    first = _make(cache, {"a": 1, "b": [2]}, "first")
    second = _make(cache, {"b": [2], "a": 1}, "second")
    assert (first.reused, second.reused) == (False, True)
    assert (second / "result").read_text() == "first"
    assert second.seconds == pytest.approx(first.seconds, abs=1e-3)


def test_other_inputs_are_computed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    keys = {_make(cache, inputs).key for inputs in ({"a": 1}, {"a": 2}, {"b": 1}, {})}
    assert len(keys) == 4


def test_a_failed_stage_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise ValueError

    with pytest.raises(ValueError):
        cache.get("stage", {}, fail)
    assert not _make(cache, {}).reused


def test_a_damaged_entry_is_made_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    first = _make(cache, {})
    (first / "stage.json").unlink()
    assert not _make(cache, {}).reused
    assert json.loads((first / "stage.json").read_text())["stage"] == "stage"


def test_copies_carry_no_trace_of_the_cache(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.copy(_make(cache, {}), tmp_path / "out", may_replace=_never)
    assert _tree(tmp_path / "out") == {"result": "x"}


def test_digests_depend_on_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = tree_digest([tmp_path])
    (tmp_path / "a").rename(tmp_path / "b")
    second = tree_digest([tmp_path])
    (tmp_path / "b").write_text("2")
    assert len({first, second, tree_digest([tmp_path])}) == 3


def test_code_digest_covers_modules_and_packages() -> None:
    assert len({code_digest("errors"), code_digest("commands"), code_digest()}) == 3
