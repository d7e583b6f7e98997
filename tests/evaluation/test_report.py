"""A report's numbers are right, it says how they were measured, and its files are whole or absent."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from retina_adapt.evaluation import EvaluationReport, ImageScores, ReportError, ReportRow, VesselAgreement


def row(method: str, image: str, psnr: float, **others: object) -> ReportRow:
    scores = ImageScores(psnr=psnr, ssim=0.8, ms_ssim=None, color_difference=4.0)
    return ReportRow("hrf", "light + blur", method, image, scores, **others)


def example() -> EvaluationReport:
    report = EvaluationReport(frame_size=256)
    report.add(row("degraded", "09_h", 17.0))
    report.add(row("degraded", "10_h", 19.0))
    report.add(row("adaptor [light]", "09_h", 24.0, seconds=0.5, vessels=VesselAgreement(0.9, 0.1, 0.05, 0.97)))
    return report


def test_summaries_hold_mean_and_sample_deviation_for_each_method() -> None:
    degraded, adaptor = example().summaries()
    assert (degraded.method, degraded.images) == ("degraded", 2)
    assert degraded.measures["psnr"].mean == 18
    assert degraded.measures["psnr"].deviation == pytest.approx(2**0.5)
    assert adaptor.measures["psnr"].deviation is None
    assert adaptor.measures["vessels_invented"].mean == 0.05


def test_a_measure_that_no_image_has_is_none_not_zero() -> None:
    degraded, adaptor = example().summaries()
    assert degraded.measures["seconds"] is None
    assert adaptor.measures["ms_ssim"] is None


def test_the_json_file_holds_protocol_summaries_and_every_row(tmp_path: Path) -> None:
    example().to_json(tmp_path / "report.json")
    stored = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert stored["protocol"]["frame_size"] == 256
    assert "sigma 1.5" in stored["protocol"]["ssim"]
    assert "field of view" in stored["protocol"]["region"]
    assert [entry["image"] for entry in stored["rows"]] == ["09_h", "10_h", "09_h"]
    assert stored["summaries"][0]["measures"]["psnr"]["mean"] == 18


def test_a_report_that_json_cannot_hold_leaves_the_previous_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    example().to_json(path)
    before = path.read_bytes()
    broken = example()
    broken.add(row("clahe", "09_h", 20.0, seconds=float("nan")))
    with pytest.raises(ReportError, match=r"report\.json"):
        broken.to_json(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ReportError, match=r"report\.json"):
        example().to_json(tmp_path / "file" / "report.json")


def test_the_markdown_table_is_rectangular_and_names_the_protocol() -> None:
    report = example()
    report.add(row("a|b", "09_h", 20.0))
    table, protocol = report.to_markdown().split("\n\n")
    lines = table.splitlines()
    assert len(lines) == 2 + 3
    assert {line.replace(r"\|", "").count("|") for line in lines} == {lines[0].count("|")}
    assert "18.00 ± 1.41" in lines[2]
    assert "MS-SSIM" not in lines[0]
    assert "frame size: 256" in protocol


@pytest.mark.parametrize("method", ["clahe", "degraded", "adaptor [light]", "an adaptor of some length"])
def test_the_terminal_table_fits_80_columns_and_cuts_no_number_short(method: str) -> None:
    report = EvaluationReport(frame_size=256)
    scores = ImageScores(psnr=24.0, ssim=0.812, ms_ssim=0.934, color_difference=14.25)
    report.add(ReportRow("hrf", "light + blur", method, "09_h", scores, 12.34, VesselAgreement(0.91, 0.09, 0.05, 0.97)))
    screen = io.StringIO()
    report.print_table(Console(file=screen, width=80))
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "hrf: light + blur" in lines[0]
    [numbers] = [line.split() for line in lines if "24.00" in line]
    assert numbers[-7:] == ["24.00", "0.812", "0.934", "14.25", "0.91", "0.05", "12.34"]
    assert all(any(word in line for line in lines) for word in method.split())
    assert any("seconds" in line for line in lines)
