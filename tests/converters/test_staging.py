"""A folder appears complete or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from converters.staging import check_target, replace_text, staged_folder
from diffkg_recbole.errors import DataError


def write(target: Path, text: str) -> None:
    with staged_folder(target) as staged:
        (staged / "file").write_text(text)


def test_success_leaves_the_folder_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "new", "one")
    assert (tmp_path / "deep" / "new" / "file").read_text() == "one"
    write(tmp_path / "deep" / "new", "two")
    assert (tmp_path / "deep" / "new" / "file").read_text() == "two"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["new"]


def test_the_folder_has_usual_permissions(tmp_path: Path) -> None:
    write(tmp_path / "new", "one")
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("earlier", [True, False])
def test_failure_leaves_what_was_there(
    tmp_path: Path, error: type[BaseException], earlier: bool
) -> None:
    target = tmp_path / "new"
    if earlier:
        write(target, "one")

    def fail() -> None:
        with staged_folder(target) as staged:
            (staged / "file").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == (["new"] if earlier else [])
    if earlier:
        assert (target / "file").read_text() == "one"


def test_a_failed_last_move_brings_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "new"
    write(target, "one")
    rename = os.rename

    def failing(source: Path, destination: Path) -> None:
        if Path(source).name == "new" and Path(source) != target:
            raise OSError("no")
        rename(source, destination)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OSError, match="no"):
        write(target, "two")
    assert (target / "file").read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


def ours(name: str) -> bool:
    return name == "file"


def test_check_target(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    check_target(target, False, ours, source)
    target.mkdir()
    check_target(target, False, ours, source)  # empty
    (target / "file").write_text("x")
    with pytest.raises(DataError, match="--overwrite"):
        check_target(target, False, ours, source)
    check_target(target, True, ours, source)
    (target / "notes").write_text("x")
    with pytest.raises(DataError, match="'notes', which no conversion wrote"):
        check_target(target, True, ours, source)


def test_check_target_refuses_the_source_a_file_and_a_link(tmp_path: Path) -> None:
    source = tmp_path / "a" / "source"
    source.mkdir(parents=True)
    for target in (source, source.parent):
        with pytest.raises(DataError, match="holds the source"):
            check_target(target, True, ours, source)
    (tmp_path / "plain").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "other")
    for target in (tmp_path / "plain", tmp_path / "link"):
        with pytest.raises(DataError, match="is no folder"):
            check_target(target, True, ours, source)


def test_replace_text_keeps_the_old_on_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.yaml"
    replace_text(path, "one")
    path.chmod(0o640)
    replace_text(path, "two")
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o640

    def failing(source: object, destination: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(KeyboardInterrupt):
        replace_text(path, "three")
    assert path.read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["x.yaml"]
