"""File names of other times and systems: bytes that are no UTF-8, which Python shows as surrogates."""

import csv
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from retina_adapt.cli import app

LATIN_1 = os.fsdecode("müller.png".encode("latin-1"))
ESCAPED = r"m\udcfcller.png"


@pytest.fixture
def photographs(drawn: Path) -> Path:
    """Four, one of which has such a name, and a broken file with another."""
    (drawn / "drawn_0000.png").rename(drawn / LATIN_1)
    (drawn / f"broken {LATIN_1}").write_bytes(b"no picture")
    return drawn


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result


def test_enhancing_records_and_reports_them_like_any_other(
    photographs: Path, toy_backbone_folder: Path, toy_adaptor_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    models = ["--backbone", toy_backbone_folder, "--adaptor", toy_adaptor_folder, "--device", "cpu"]
    command = ["enhance", photographs, output, *models, "--report", tmp_path / "report.html", "--verbose"]
    result = run(*command)
    assert result.exit_code == 1
    assert f"failed: {photographs}/broken {ESCAPED}" in result.stderr
    assert (output / LATIN_1).is_file()
    with (output / "summary.csv").open(encoding="utf-8") as stream:
        assert {ESCAPED, f"broken {ESCAPED}"} <= {row["output"] for row in csv.DictReader(stream)}
    recorded = json.loads((output / "summary.json").read_text())["photographs"]
    assert {photographs / LATIN_1, photographs / f"broken {LATIN_1}"} <= {Path(row["photograph"]) for row in recorded}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f">{ESCAPED}<" in page
    assert f"broken {ESCAPED}" in page
    # And resumed.
    assert "4 were done before" in run(*command).stderr


def test_degrading_draws_for_them_records_and_replays(photographs: Path, tmp_path: Path) -> None:
    drawn, replayed = tmp_path / "drawn", tmp_path / "replayed"
    assert run("degrade", photographs, drawn, "--preset", "haze").exit_code == 1
    assert LATIN_1 in json.loads((drawn / "degradations.json").read_text())
    run("degrade", photographs, replayed, "--replay", drawn / "degradations.json")
    assert (replayed / LATIN_1).read_bytes() == (drawn / LATIN_1).read_bytes()
