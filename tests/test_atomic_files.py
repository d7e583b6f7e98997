"""Contract 10: the old file or the new one, never half of either."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from retina_adapt.atomic_files import (
    require_own_folder,
    restore_interrupted_replacement,
    write_file_atomically,
    write_folder_atomically,
)
from retina_adapt.errors import RetinaAdaptError


class PowerCutError(Exception):
    """What goes wrong in the middle of a write."""


def _write_and_fail(path: Path) -> None:
    path.write_text("half")
    raise PowerCutError


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / f"{'n' * 251}.txt"
    with write_file_atomically(path) as temporary:
        temporary.write_text("content")
    assert path.read_text() == "content"


def test_an_error_while_writing_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(PowerCutError), write_file_atomically(path) as temporary:
        _write_and_fail(temporary)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_while_writing_leaves_the_old_folder_and_no_litter(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with write_folder_atomically(folder) as temporary:
        (temporary / "a").write_text("old")
    with pytest.raises(PowerCutError), write_folder_atomically(folder) as temporary:
        _write_and_fail(temporary / "b")
    assert [path.name for path in folder.iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_new_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with write_folder_atomically(tmp_path / "folder") as temporary:
            (temporary / name).write_text(name)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["b"]


def test_a_folder_moved_aside_by_a_killed_writer_is_put_back(tmp_path: Path) -> None:
    (tmp_path / ".folder.previous").mkdir()
    (tmp_path / ".folder.previous" / "a").write_text("old")
    restore_interrupted_replacement(tmp_path / "folder")
    assert (tmp_path / "folder" / "a").read_text() == "old"


def test_a_reader_between_the_two_renames_does_not_cost_the_writer_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    ended = threading.Event()

    def read_all_the_time() -> None:
        while not ended.is_set():
            restore_interrupted_replacement(folder)

    with ThreadPoolExecutor(4) as readers:
        reading = [readers.submit(read_all_the_time) for _ in range(4)]
        try:
            for number in range(300):
                with write_folder_atomically(folder) as temporary:
                    (temporary / "number").write_text(str(number))
                assert (folder / "number").read_text() == str(number)
        finally:
            ended.set()
    assert [reader.result() for reader in reading] == [None] * 4


def test_a_folder_moved_aside_is_litter_once_the_new_one_is_there(tmp_path: Path) -> None:
    for name in (".folder.previous", "folder"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
    restore_interrupted_replacement(tmp_path / "folder")
    assert (tmp_path / "folder" / "a").read_text() == "folder"
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


def test_a_folder_behind_a_symbolic_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for content in ("old", "new"):
        with write_folder_atomically(tmp_path / "link") as temporary:
            (temporary / "a").write_text(content)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"real", "link"}


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_new_files_and_folders_have_the_permissions_of_any_other(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        with write_file_atomically(tmp_path / "file") as temporary:
            temporary.write_text("x")
        with write_folder_atomically(tmp_path / "folder") as temporary:
            (temporary / "private").touch(mode=0o600)
            (temporary / "inner").mkdir(mode=0o700)
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    modes = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    file, folder = 0o666 & ~umask, 0o777 & ~umask
    assert modes == {"file": file, "folder": folder, "folder/private": file, "folder/inner": folder}


def test_many_threads_writing_leave_the_umask_and_all_permissions_as_they_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_umask = os.umask

    def set_umask_and_let_others_run(mask: int) -> int:
        before = set_umask(mask)
        time.sleep(0.001)
        return before

    def write(thread: int) -> None:
        for number in range(10):
            with write_file_atomically(tmp_path / f"file {thread} {number}") as temporary:
                temporary.write_text("x")
            with write_folder_atomically(tmp_path / f"folder {thread} {number}") as temporary:
                (temporary / "inner").touch()
            # Whatever else the process writes meanwhile.
            (tmp_path / f"other {thread} {number}").touch()

    monkeypatch.setattr(os, "umask", set_umask_and_let_others_run)
    before = set_umask(0o027)
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(write, range(4)))
        assert set_umask(0o027) == 0o027
    finally:
        set_umask(before)
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in tmp_path.rglob("*")}
    assert modes == {(False, 0o640), (True, 0o750)}


class HouseError(RetinaAdaptError):
    """What the writer of houses raises."""


def require_own_house(folder: Path) -> None:
    require_own_folder(folder, "house.json", HouseError, what="house", says='"house"')


def test_a_writer_may_replace_what_is_its_own_or_not_there(tmp_path: Path) -> None:
    require_own_house(tmp_path / "absent")
    require_own_house(tmp_path)
    (tmp_path / "house.json").write_text('{"kind": "house"}')
    (tmp_path / "rooms").mkdir()
    require_own_house(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [("photograph.png", b""), ("house.json", b'{"kind": "boat"}'), ("house.json", b"\xff"), (".hidden", b"")],
)
def test_a_writer_may_not_replace_anything_else(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(HouseError, match=r"holds something that is no house.*give a new folder") as raised:
            require_own_house(path)
        assert str(path) in str(raised.value)


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    script = f"""
from retina_adapt.atomic_files import write_file_atomically
number = 0
while True:
    number += 1
    with write_file_atomically({str(path)!r}) as temporary:
        temporary.write_text(str(number % 10) * 200_000)
"""
    for pause in (0.0, 0.013, 0.031):
        process = subprocess.Popen([sys.executable, "-c", script])
        while not path.exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
        content = path.read_text()
        assert len(content) == 200_000
        assert len(set(content)) == 1


def test_a_writer_killed_at_any_moment_leaves_a_whole_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    script = f"""
from retina_adapt.atomic_files import write_folder_atomically
number = 0
while True:
    number += 1
    with write_folder_atomically({str(folder)!r}) as temporary:
        for part in range(20):
            (temporary / str(part)).write_text(str(number))
"""
    for pause in (0.0, 0.013, 0.031):
        process = subprocess.Popen([sys.executable, "-c", script])
        while not folder.exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
        restore_interrupted_replacement(folder)
        contents = [path.read_text() for path in folder.iterdir()]
        assert len(contents) == 20
        assert len(set(contents)) == 1


def test_the_root_of_a_disk_is_left_alone() -> None:
    restore_interrupted_replacement(Path("/"))
