"""`retina-adapt enhance --then`: one adaptor after the other."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from retina_adapt.adaptors import AdaptorNameError
from retina_adapt.cli import app
from retina_adapt.embedded import adaptor_folder
from retina_adapt.enhancement import Enhancer
from retina_adapt.imaging import read_photograph


@pytest.fixture
def enhance(drawn: Path, tmp_path: Path):
    """The verb with these options; what it printed, without the line breaks of a narrow terminal."""

    def run(*options: object, output: str = "out") -> str:
        command = ["enhance", drawn / "drawn_0000.png", tmp_path / output, "--device", "cpu", *options]
        result = CliRunner().invoke(app, [str(word) for word in command])
        if isinstance(result.exception, Exception):
            raise result.exception
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    return run


def used_by(path: Path) -> list[tuple[str, int]]:
    return [(used.name, used.turn) for used in read_photograph(path).provenance.adaptors]


def test_the_result_is_that_of_the_enhancers_sequence_and_says_so(enhance, drawn: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    enhance("--adaptor", "mixed", "--then", "blur", "--report", report)
    enhancer = Enhancer.from_pretrained()
    for name in ("blur", "mixed"):
        enhancer.load_adaptor(name)
    enhancer.set_adaptor_sequence(["mixed", "blur"])
    expected = enhancer(read_photograph(drawn / "drawn_0000.png")).pixels
    result = read_photograph(tmp_path / "out" / "drawn_0000.png")
    assert np.abs(result.pixels - expected).max() <= 0.5 / 255 + 1e-6
    assert used_by(tmp_path / "out" / "drawn_0000.png") == [("mixed", 1), ("blur", 2)]
    assert "then blur (" in result.provenance.sentence()
    assert "mixed, then blur" in report.read_text()
    assert "mixed, then blur" in (tmp_path / "out" / "summary.csv").read_text()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [adaptor["name"] for adaptor in summary["settings"]["then"]] == ["blur"]


def test_every_adaptor_is_followed_also_by_one_that_is_given_itself(enhance, tmp_path: Path) -> None:
    enhance("--adaptor", "mixed", "--adaptor", "blur", "--then", "blur", "--then", "light")
    out = tmp_path / "out"
    assert used_by(out / "mixed" / "drawn_0000.png") == [("mixed", 1), ("blur", 2), ("light", 3)]
    assert used_by(out / "blur" / "drawn_0000.png") == [("blur", 1), ("light", 2)]


def test_another_sequence_is_another_result(enhance) -> None:
    enhance("--adaptor", "mixed", "--then", "blur")
    assert "1 were done before" in enhance("--adaptor", "mixed", "--then", "blur")
    assert "replaced results of an earlier run (1)" in enhance("--adaptor", "mixed")


def test_what_auto_has_chosen_is_not_used_again(enhance, tmp_path: Path) -> None:
    enhance("--adaptor", "auto", output="alone")
    ((chosen, _),) = used_by(tmp_path / "alone" / "drawn_0000.png")
    enhance("--adaptor", "auto", "--then", chosen, "--then", "blur")
    assert used_by(tmp_path / "out" / "drawn_0000.png") == [(chosen, 1), ("blur", 2)]


def test_the_router_does_not_choose_what_comes_then(enhance, tmp_path: Path) -> None:
    """An adaptor of one's own takes no embedded one's place by its name."""
    with pytest.raises(AdaptorNameError, match="named 'mixed' is loaded already"):
        enhance("--adaptor", "auto", "--then", f"mixed={adaptor_folder('blur')}")
    enhance("--adaptor", "auto", output="alone")
    ((chosen, _),) = used_by(tmp_path / "alone" / "drawn_0000.png")
    enhance("--adaptor", "auto", "--then", f"sharpen={adaptor_folder('blur')}")
    assert used_by(tmp_path / "out" / "drawn_0000.png") == [(chosen, 1), ("sharpen", 2)]


def test_a_mistake_names_its_option(enhance) -> None:
    for given, said in (("", "--then is empty"), ("light,blur", "give each of them its own --then")):
        with pytest.raises(AdaptorNameError, match=said):
            enhance("--adaptor", "mixed", "--then", given)


def test_auto_comes_first(enhance, tmp_path: Path) -> None:
    with pytest.raises(AdaptorNameError, match="--then auto: auto chooses by the photograph as it is"):
        enhance("--adaptor", "light", "--then", "auto")
    assert not (tmp_path / "out").exists()
