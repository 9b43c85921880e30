"""Run folders are safe, exclusive and short."""

import os
from pathlib import Path

import pytest

from service.demo.folders import FolderError, run_folder, short_temp_folder


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "parent").symlink_to(tmp_path / "elsewhere")

    with (
        pytest.raises(FolderError, match=r"not a folder of yours.*TMPDIR"),
        run_folder(tmp_path / "parent"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "parent").mkdir()
    os.chown(tmp_path / "parent", 65534, 65534)

    with (
        pytest.raises(FolderError, match="not a folder of yours"),
        run_folder(tmp_path / "parent"),
    ):
        pass


def test_two_runs_at_once_get_two_folders_and_a_later_run_the_first_again(tmp_path: Path) -> None:
    with run_folder(tmp_path) as first, run_folder(tmp_path) as second:
        assert first != second

    with run_folder(tmp_path) as later:
        assert later == first


def test_nobody_else_can_look_into_the_folders(tmp_path: Path) -> None:
    with run_folder(tmp_path / "parent") as folder:
        for place in (folder, folder.parent):
            assert place.stat().st_mode & 0o066 == 0


def test_paths_are_short_enough_for_a_socket_wherever_temp_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (deep := tmp_path / ("d" * 80)).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))

    with short_temp_folder() as folder:
        assert len(str(folder)) < 70
    assert not folder.exists()
