"""Runs that meet in one folder of results, that are killed, or told to end."""

import errno
import fcntl
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from accelerate import Accelerator
from filelock import FileLock
from rich.console import Console
from two_processes import on_two_processes

from retina_adapt.commands.batch import BatchResult
from retina_adapt.commands.enhance import enhance_photographs
from retina_adapt.commands.journal import Journal, PhotographRecord
from retina_adapt.commands.sole_run import sole_run
from retina_adapt.sole_use import FolderInUseError

Enhance = Callable[..., BatchResult]


@pytest.fixture
def enhance(toy_backbone_folder: Path, toy_adaptor_folder: Path, drawn: Path, tmp_path: Path) -> Enhance:
    """Enhances the drawn photographs into `out`."""

    def run(**options: bool) -> BatchResult:
        return enhance_photographs(
            drawn,
            tmp_path / "out",
            adaptors=[str(toy_adaptor_folder)],
            backbone=str(toy_backbone_folder),
            detail="guided",
            device="cpu",
            console=Console(quiet=True),
            **options,
        )

    return run


def lock_of(output: Path) -> FileLock:
    return FileLock(output / ".retina_adapt" / "lock")


def test_all_processes_of_a_run_end_where_another_run_is_at_work(enhance: Enhance, tmp_path: Path) -> None:
    (tmp_path / "out" / ".retina_adapt").mkdir(parents=True)

    def enhance_in_vain(accelerator: Accelerator) -> None:
        with pytest.raises(FolderInUseError, match=r"out: another run is at work there; wait for its end, or name"):
            enhance()
        (tmp_path / f"ended {accelerator.process_index}").touch()

    with lock_of(tmp_path / "out"):
        on_two_processes(enhance_in_vain, tmp_path)
    assert {path.name for path in tmp_path.glob("ended *")} == {"ended 0", "ended 1"}
    assert not list((tmp_path / "out").rglob("*.png"))


def test_the_lock_is_held_to_the_end_of_the_run_and_no_longer(
    enhance: Enhance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Journal.append

    def append_while_another_run_tries(journal: Journal, record: PhotographRecord) -> None:
        append(journal, record)
        with pytest.raises(FolderInUseError, match="another run is at work"), sole_run(tmp_path / "out", is_main=True):
            pass

    monkeypatch.setattr(Journal, "append", append_while_another_run_tries)
    assert len(enhance().written) == 4
    with sole_run(tmp_path / "out", is_main=True):
        pass


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_that_knows_no_locks_can_be_written_to(
    reason: int, enhance: Enhance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(reason, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert len(enhance().written) == 4


def test_what_killed_runs_left_is_removed_but_not_where_another_may_be_at_work(
    enhance: Enhance, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    left = [output / ".0123456789ab.partial.png", output / "second visit" / ".fedcba987654.partial.jpg"]
    others = [output / ".hidden.png", output / "other" / ".0123456789ab.partial.png"]
    (output / "other" / ".retina_adapt").mkdir(parents=True)
    for path in (*left, *others):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"a part of a picture")
    enhance()
    assert [path for path in (*left, *others) if path.exists()] == others


def test_sigterm_ends_a_run_as_ctrl_c_does(enhance: Enhance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append, before = Journal.append, signal.getsignal(signal.SIGTERM)

    def append_and_be_told_to_end(journal: Journal, record: PhotographRecord) -> None:
        append(journal, record)
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", append_and_be_told_to_end)
        with pytest.raises(KeyboardInterrupt):
            enhance()
    assert signal.getsignal(signal.SIGTERM) == before
    assert not list((tmp_path / "out").rglob("*.partial*"))
    result = enhance()
    assert result.skipped
    assert len(result.skipped) + len(result.written) == 4
