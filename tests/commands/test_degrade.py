"""`retina-adapt degrade`: what it records can be replayed, and a record that cannot is told by name."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retina_adapt.cli import app
from retina_adapt.errors import RetinaAdaptError


def degrade(*arguments: object) -> tuple[int, str]:
    """Exit status and all that was printed; a mistake in the command is 2 and its message, as `main` shows it."""
    result = CliRunner().invoke(app, ["degrade", *map(str, arguments)])
    if isinstance(result.exception, RetinaAdaptError):
        return 2, str(result.exception)
    return result.exit_code, " ".join(result.output.split())


def without_a_parameter(record: dict) -> dict:
    first = next(iter(record.values()))["steps"][0]["parameters"]
    del first[min(first)]
    return record


MISTAKES: dict[str, tuple[Callable[[dict], object], int, str]] = {
    "a missing field": (lambda record: {name: {"preset": "haze"} for name in record}, 2, "missing: seed"),
    "no record at all": (lambda record: list(record), 2, "cannot be read as a record"),
    "a missing parameter": (without_a_parameter, 1, "lacks the parameter"),
    "a missing photograph": (lambda record: dict(list(record.items())[1:]), 1, "holds no draw for"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_damaged_record_ends_in_one_line_and_costs_no_other_photograph(
    drawn: Path, tmp_path: Path, mistake: str
) -> None:
    damage, status, message = MISTAKES[mistake]
    assert degrade(drawn, tmp_path / "first", "--preset", "haze")[0] == 0
    record = json.loads((tmp_path / "first" / "degradations.json").read_text())
    (tmp_path / "record.json").write_text(json.dumps(damage(record)))
    found, printed = degrade(drawn, tmp_path / "again", "--replay", tmp_path / "record.json")
    assert (found, message in printed, "Traceback" in printed) == (status, True, False), printed
    if status == 1:
        assert len(list((tmp_path / "again").rglob("*.png"))) == len(record) - 1


def test_what_an_earlier_run_recorded_in_the_same_folder_can_still_be_replayed(drawn: Path, tmp_path: Path) -> None:
    degrade(drawn / "second visit", tmp_path / "out", "--preset", "haze")
    first = json.loads((tmp_path / "out" / "degradations.json").read_text())
    (one,) = sorted(drawn.glob("*.png"))[:1]
    degrade(one, tmp_path / "out", "--preset", "light")
    both = json.loads((tmp_path / "out" / "degradations.json").read_text())
    assert both == first | {one.name: both[one.name]}


def test_a_damaged_record_in_the_output_folder_stops_the_run_before_it_begins(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "degradations.json").write_text("[")
    status, printed = degrade(drawn, tmp_path / "out", "--preset", "haze")
    assert (status, "in the way" in printed) == (2, True)
    assert not list((tmp_path / "out").rglob("*.png"))


def test_a_preset_that_does_not_suit_the_severity_says_so_before_anything_is_read(drawn: Path, tmp_path: Path) -> None:
    status, printed = degrade(drawn, tmp_path / "out", "--preset", "haze", "--severity", 1.5)
    assert status == 2
    assert "severity" in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", [("--preset", "blur"), ("--seed", 3), ("--severity", 0.1)])
def test_a_replay_is_of_what_was_recorded_and_of_nothing_else(drawn: Path, tmp_path: Path, option: tuple) -> None:
    degrade(drawn, tmp_path / "first", "--preset", "haze")
    record = tmp_path / "first" / "degradations.json"
    status, printed = degrade(drawn, tmp_path / "again", "--replay", record, *option)
    assert (status, "leave out --preset, --seed and --severity" in printed) == (2, True)
    assert not (tmp_path / "again").exists()


def test_the_other_half_of_pairs_is_never_overwritten(drawn: Path, tmp_path: Path) -> None:
    name = "drawn_0001.png"
    (tmp_path / "low").mkdir()
    (tmp_path / "low" / name).write_bytes(b"a real photograph")
    status, printed = degrade(drawn, tmp_path / "low")
    assert (status, f"{name}: is there already" in printed) == (2, True)
    assert [path.name for path in (tmp_path / "low").iterdir()] == [name]
    assert (tmp_path / "low" / name).read_bytes() == b"a real photograph"
    # What an earlier run has made is made anew.
    assert degrade(drawn, tmp_path / "out")[0] == degrade(drawn, tmp_path / "out", "--seed", 3)[0] == 0


def test_what_was_degraded_before_is_not_degraded_again(drawn: Path) -> None:
    degrade(drawn, drawn / "haze", "--preset", "haze")
    status, printed = degrade(drawn, drawn / "blur", "--preset", "blur")
    assert (status, f"{drawn / 'haze'}: left alone" in printed) == (0, True)
    assert len(list((drawn / "blur").rglob("*.png"))) == 4


def test_a_run_that_was_killed_can_be_begun_again(drawn: Path, tmp_path: Path) -> None:
    program = (
        "import os, signal, retina_adapt.commands.degrade as module\n"
        "write = module.write_photograph\n"
        "def write_and_die(*arguments):\n"
        "    write(*arguments)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "module.write_photograph = write_and_die\n"
        "from retina_adapt.cli import app\n"
        f"app(['degrade', {str(drawn)!r}, {str(tmp_path / 'out')!r}])\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert len(list((tmp_path / "out").rglob("*.png"))) == 1
    assert degrade(drawn, tmp_path / "out")[0] == 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 4
