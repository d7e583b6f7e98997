"""`retina-adapt enhance --report`: one page on all results, and where each result comes from in its file."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from retina_adapt import __version__
from retina_adapt.adaptors import describe_adaptor
from retina_adapt.cli import app
from retina_adapt.enhancement import EnhancementInputError
from retina_adapt.imaging import read_photograph, sha256_of
from retina_adapt.report import ReportInputError


@pytest.fixture
def enhance(toy_backbone_folder: Path, toy_adaptor_folder: Path, drawn: Path, tmp_path: Path):
    def run(*options: object) -> Result:
        command = ["enhance", drawn, tmp_path / "out", "--backbone", toy_backbone_folder]
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


def test_a_result_that_is_gone_is_named_and_the_others_are_shown(enhance, drawn: Path, tmp_path: Path) -> None:
    enhance()
    (tmp_path / "out" / "drawn_0000.png").write_bytes(b"edited")
    assert enhance("--skip-existing", "--report", tmp_path / "report.html").exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert "drawn_0000.png: not in this report" in page
    assert 'data-value="drawn_0001.png"' in page


def test_several_seeds_give_an_uncertainty_map(enhance, tmp_path: Path) -> None:
    enhance("--report", tmp_path / "one.html", "--mode", "diffusion", "--steps", "1")
    enhance("--report", tmp_path / "two.html", "--mode", "diffusion", "--steps", "1", "--report-seeds", "2")
    assert (tmp_path / "two.html").stat().st_size > (tmp_path / "one.html").stat().st_size


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
    assert [adaptor.fingerprint for adaptor in found.adaptors] == [describe_adaptor(toy_adaptor_folder).sha256]
    assert (found.mode, found.steps, found.seed) == ("diffusion", 2, 7)
    assert found.input_sha256 == sha256_of((drawn / "drawn_0000.png").read_bytes())
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert found.backbone_fingerprint == summary["settings"]["backbone"]
