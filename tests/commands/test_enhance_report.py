"""`retina-adapt enhance --report`: one page on all results, and where each result comes from in its file."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from retina_adapt import __version__
from retina_adapt.adaptors import describe_adaptor
from retina_adapt.cli import app
from retina_adapt.commands.batch_report import write_batch_report
from retina_adapt.commands.journal import PhotographRecord, read_journals
from retina_adapt.enhancement import EnhancementInputError, EnhancementSettings, Enhancer
from retina_adapt.imaging import Photograph, read_photograph, sha256_of, write_photograph
from retina_adapt.report import ModelIdentity, ReportInputError


@pytest.fixture
def enhance(toy_backbone_folder: Path, toy_adaptor_folder: Path, drawn: Path, tmp_path: Path):
    def run(*options: object, source: Path = drawn) -> Result:
        command = ["enhance", source, tmp_path / "out", "--backbone", toy_backbone_folder]
        command += ["--adaptor", toy_adaptor_folder, "--device", "cpu", *options]
        result = CliRunner().invoke(app, [str(argument) for argument in command])
        if isinstance(result.exception, Exception):
            raise result.exception
        return result

    return run


def test_the_page_holds_every_result_also_those_of_an_earlier_run_and_every_failure(
    enhance, drawn: Path, tmp_path: Path, toy_adaptor_folder: Path
) -> None:
    enhance()
    (drawn / "broken.png").write_bytes(b"no picture")
    assert enhance("--report", tmp_path / "report.html").exit_code == 1
    page = (tmp_path / "report.html").read_text()
    enhanced = [path.relative_to(drawn).as_posix() for path in drawn.rglob("drawn_*.png")]
    assert len(enhanced) == 4
    assert all(name in page for name in [*enhanced, "broken.png"])
    assert describe_adaptor(toy_adaptor_folder).sha256[:12] in page


def test_a_page_that_cannot_be_written_does_not_hide_what_became_of_the_photographs(
    enhance, drawn: Path, tmp_path: Path
) -> None:
    (drawn / "broken.png").write_bytes(b"no picture")
    (tmp_path / "file").write_bytes(b"in the place of the page's folder")
    told = enhance("--report", tmp_path / "file" / "report.html")
    assert told.exit_code == 1
    assert "4 photographs written" in told.stderr
    assert "broken.png: not a JPEG, PNG or TIFF image" in told.stderr
    assert "report.html: cannot write the report (" in told.stderr
    assert "report.html: report" not in told.stderr


def test_a_result_that_is_gone_is_named_and_the_others_are_shown(enhance, drawn: Path, tmp_path: Path) -> None:
    enhance()
    (tmp_path / "out" / "drawn_0000.png").write_bytes(b"edited")
    assert enhance("--skip-existing", "--report", tmp_path / "report.html").exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert "drawn_0000.png: not in this report" in page
    assert 'data-value="drawn_0001.png"' in page


def uncertainties(page: Path) -> list[float]:
    """Mean uncertainty of each photograph of a report, in percent."""
    text = page.read_text()
    if "Uncertainty</th>" not in text:
        return []
    # The last column.
    return [100 * float(cell) for cell in re.findall(r'<td data-value="([^"]*)">[^<]*</td>\s*</tr>', text)]


def test_several_seeds_give_an_uncertainty_map(enhance, tmp_path: Path) -> None:
    sampled = ["--mode", "diffusion", "--steps", "1"]
    enhance("--report", tmp_path / "one.html", *sampled)
    enhance("--report", tmp_path / "two.html", *sampled, "--report-seeds", "2")
    assert uncertainties(tmp_path / "one.html") == []
    found = uncertainties(tmp_path / "two.html")
    assert len(found) == 4
    assert min(found) > 0


def test_what_jpeg_loses_is_no_uncertainty_of_sampling(
    enhance, drawn: Path, tmp_path: Path, toy_backbone_folder: Path, toy_adaptor_folder: Path
) -> None:
    write_photograph(read_photograph(drawn / "drawn_0000.png"), tmp_path / "single" / "eye.jpg")
    enhance(source=tmp_path / "single")
    (record,) = read_journals(tmp_path / "out").values()
    enhancer = Enhancer.from_pretrained(toy_backbone_folder)
    enhancer.load_adaptor(toy_adaptor_folder, record.used_adaptors[0])
    write_batch_report(
        tmp_path / "report.html",
        [record],
        output=tmp_path / "out",
        enhancer=enhancer,
        models={"backbone": ModelIdentity("backbone", "toy", "0" * 64)},
        # The same for all seeds.
        settings=EnhancementSettings(mode="fast"),
        field_of_view="auto",
        mask_of=lambda path: None,
        seeds=2,
    )
    assert uncertainties(tmp_path / "report.html") == [0]


def test_photographs_are_reported_where_they_are_now(enhance, drawn: Path, tmp_path: Path) -> None:
    enhance()
    moved = drawn.rename(tmp_path / "moved")
    enhance("--report", tmp_path / "report.html", source=moved)
    page = (tmp_path / "report.html").read_text()
    assert "not in this report" not in page
    assert 'data-value="drawn_0000.png"' in page
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {Path(row["photograph"]).is_relative_to(moved) for row in summary["photographs"]} == {True}


def test_what_cannot_become_a_report_is_an_error(enhance, tmp_path: Path) -> None:
    with pytest.raises(EnhancementInputError, match="add --mode diffusion"):
        enhance("--report", tmp_path / "report.html", "--report-seeds", "2")
    with pytest.raises(EnhancementInputError, match="add --report FILE"):
        enhance("--mode", "diffusion", "--report-seeds", "2")
    with pytest.raises(ReportInputError, match=r"report\.txt"):
        enhance("--report", tmp_path / "report.txt")
    # Before any photograph is enhanced.
    assert not (tmp_path / "out").exists()


def test_every_result_says_what_made_it(enhance, drawn: Path, tmp_path: Path, toy_adaptor_folder: Path) -> None:
    enhance("--mode", "diffusion", "--steps", "2", "--seed", "7")
    found = read_photograph(tmp_path / "out" / "drawn_0000.png").provenance
    assert found is not None
    assert found.software == f"retina_adapt {__version__}"
    assert [adaptor.sha256 for adaptor in found.adaptors] == [describe_adaptor(toy_adaptor_folder).sha256]
    assert (found.mode, found.steps, found.seed) == ("diffusion", 2, 7)
    assert found.input_sha256 == sha256_of((drawn / "drawn_0000.png").read_bytes())
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert found.backbone_fingerprint == summary["settings"]["backbone"]


def test_results_of_unknown_settings_are_named_and_not_shown(enhance, tmp_path: Path) -> None:
    enhance()
    (tmp_path / "out" / "drawn_0001.png").unlink()
    enhance("--detail", "kept", "--skip-existing", "--report", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "drawn_0000.png: not in this report: its result was there already" in page
    assert 'data-value="drawn_0001.png"' in page
    assert 'data-value="drawn_0000.png"' not in page


def test_a_fault_without_an_adaptor_is_not_reported_as_clear(tmp_path: Path) -> None:
    route = {"adaptor": None, "confidence": 0.97, "severity": 0.5, "probabilities": {}}
    clear = PhotographRecord("clear.png", "clear.png", "auto", "copied", route={**route, "fault": "clear", "note": ""})
    faulty = PhotographRecord(
        "dim.png", "dim.png", "auto", "copied", route={**route, "fault": "light", "note": "no adaptor for it"}
    )
    write_batch_report(
        tmp_path / "report.html",
        [clear, faulty],
        output=tmp_path,
        enhancer=None,
        models={"backbone": ModelIdentity("backbone", "nano", "0" * 64)},
        settings=EnhancementSettings(),
        field_of_view="auto",
        mask_of=lambda path: None,
    )
    page = (tmp_path / "report.html").read_text()
    assert "the router found them clear: 1" in page
    assert "dim.png: left as it is: light at 97%, but no adaptor for it" in page


def test_a_file_that_only_its_name_takes_for_jpeg_fails_with_the_remedy(enhance, drawn: Path, tmp_path: Path) -> None:
    write_photograph(Photograph(np.full((64, 64, 3), 0.5, np.float32), bit_depth=16), drawn / "deep.png")
    (drawn / "deep.png").rename(drawn / "deep.jpg")
    result = enhance("--field-of-view", "full_frame")
    assert result.exit_code == 1
    assert "deep.jpg: JPEG cannot hold 16 bits a sample" in result.output
    assert "rename the file to what it is" in result.output


def test_a_file_that_only_its_name_takes_for_dicom_fails_with_the_remedy(enhance, drawn: Path) -> None:
    (drawn / "drawn_0000.png").rename(drawn / "drawn_0000.dcm")
    result = enhance()
    assert result.exit_code == 1
    assert "drawn_0000.dcm: a DICOM object belongs to a patient's study" in result.output
    assert "rename the file to what it is" in result.output
