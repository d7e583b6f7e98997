"""`--adaptor NAME=PATH`: adaptors of one's own, called as one likes."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retina_adapt.adaptors import AdaptorNameError
from retina_adapt.cli import app
from retina_adapt.commands.adaptor_choice import AdaptorChoice, parse_adaptor_choice
from retina_adapt.embedded import UnknownModelError


@pytest.fixture
def two_adaptors(toy_adaptor_folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """`a/adaptor` and `b/adaptor`, as the recipe `adapt` calls what it writes."""
    first, second = tmp_path / "a" / "adaptor", tmp_path / "b" / "adaptor"
    for folder in (first, second):
        shutil.copytree(toy_adaptor_folder, folder)
    return first, second


@pytest.fixture
def enhance(toy_backbone_folder: Path, drawn: Path, tmp_path: Path):
    """The verb with these values of `--adaptor`, on one photograph."""

    def run(*adaptors: object) -> None:
        command = ["enhance", drawn / "drawn_0000.png", tmp_path / "out", "--backbone", toy_backbone_folder]
        command += ["--device", "cpu", *(word for adaptor in adaptors for word in ("--adaptor", adaptor))]
        result = CliRunner().invoke(app, [str(word) for word in command])
        if isinstance(result.exception, Exception):
            raise result.exception
        assert result.exit_code == 0, result.output

    return run


def test_two_adaptors_of_one_name_are_told_apart_by_names_of_ones_own(enhance, two_adaptors, tmp_path: Path) -> None:
    first, second = two_adaptors
    enhance(f"few={first}", f"many={second}")
    for name in ("few", "many"):
        assert (tmp_path / "out" / name / "drawn_0000.png").is_file()
    records = json.loads((tmp_path / "out" / "summary.json").read_text())["photographs"]
    assert [record["used_adaptors"] for record in records] == [["few"], ["many"]]


def test_without_names_the_error_says_how_to_give_them(enhance, two_adaptors, tmp_path: Path) -> None:
    with pytest.raises(AdaptorNameError, match=r"b/adaptor: .*NAME=PATH"):
        enhance(*two_adaptors)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("auto", "NAME=PATH"), ("backbone", "NAME=PATH"), ("no name", "digits, '_' and '-'")],
)
def test_a_name_that_cannot_be_one_is_an_error(name: str, remedy: str, enhance, toy_adaptor_folder: Path) -> None:
    with pytest.raises(AdaptorNameError, match=f"'{name}'.*{remedy}"):
        enhance(f"{name}={toy_adaptor_folder}")


def test_a_named_adaptor_that_is_not_there_is_an_error_that_names_the_path(enhance) -> None:
    with pytest.raises(UnknownModelError, match=r"^nowhere: "):
        enhance("mine=nowhere")


def test_what_is_a_path_as_a_whole_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rate=3").mkdir()
    assert parse_adaptor_choice("rate=3") == AdaptorChoice(None, "rate=3")
    assert parse_adaptor_choice("rate=4") == AdaptorChoice("rate", "4")
    assert parse_adaptor_choice("runs/rate=4/adaptor") == AdaptorChoice(None, "runs/rate=4/adaptor")
    assert parse_adaptor_choice("mine=runs/rate=4/adaptor") == AdaptorChoice("mine", "runs/rate=4/adaptor")
    assert parse_adaptor_choice("light") == AdaptorChoice(None, "light")
