"""`retina-adapt enhance`: mistakes in the command end it before the first photograph; no picture is passed over."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from retina_adapt.adaptors import AdaptorNameError
from retina_adapt.backbones.schedulers import UnknownSchedulerError
from retina_adapt.cli import app
from retina_adapt.commands.photograph_list import OutputFolderError
from retina_adapt.embedded import UnknownModelError
from retina_adapt.enhancement import EnhancementInputError
from retina_adapt.errors import RetinaAdaptError


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (["--mode", "diffusion", "--scheduler", "PNDM"], UnknownSchedulerError, "no scheduler is named 'PNDM'"),
        (
            ["--scheduler", "DDIMScheduler"],
            EnhancementInputError,
            "choose the mode diffusion, or leave scheduler out",
        ),
        (["--steps", "2"], EnhancementInputError, "steps is 2, but the mode fast samples nothing"),
        (["--masks", "nowhere"], EnhancementInputError, "nowhere: there is no such folder; check --masks"),
        (["--router", "nowhere"], EnhancementInputError, "only used by --adaptor auto"),
        (["--adaptor", "lihgt"], UnknownModelError, "did you mean 'light'"),
        (["--adaptor", ""], AdaptorNameError, "--adaptor is empty"),
        (["--adaptor", "light,auto"], AdaptorNameError, "give each of them its own --adaptor"),
    ],
)
def test_a_mistake_in_the_command_ends_it_at_once(
    drawn: Path, tmp_path: Path, options: list[str], error: type[RetinaAdaptError], said: str
) -> None:
    adaptor = [] if "--adaptor" in options else ["--adaptor", "light"]
    command = ["enhance", str(drawn), str(tmp_path / "out"), "--device", "cpu", *adaptor, *options]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, error)
    assert said in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_pictures_that_are_not_read_are_named(drawn: Path, tmp_path: Path) -> None:
    (drawn / "second visit" / "left.BMP").write_bytes(b"a bitmap")
    (drawn / "right.webp").write_bytes(b"of the web")
    (drawn / "notes.txt").write_text("no picture")
    result = CliRunner().invoke(
        app, ["enhance", str(drawn), str(tmp_path / "out"), "--adaptor", "light", "--device", "cpu"]
    )
    assert result.exit_code == 0
    assert "left alone, 2 in all of kinds that are not read (.bmp, .webp)" in result.output


def test_dicom_under_other_names_is_named(drawn: Path, tmp_path: Path) -> None:
    for name in ("IM0001", "second visit/1.2.840.5"):
        (drawn / name).write_bytes(bytes(128) + b"DICM")
    (drawn / "README").write_text("no picture")
    result = CliRunner().invoke(
        app, ["enhance", str(drawn), str(tmp_path / "out"), "--adaptor", "light", "--device", "cpu"]
    )
    assert result.exit_code == 0
    assert "IM0001: left alone, 2 in all that are DICOM by content but not by name" in result.output.replace("\n", " ")


def test_an_output_that_names_a_picture_is_a_mistake(drawn: Path, tmp_path: Path) -> None:
    command = ["enhance", str(drawn / "drawn_0000.png"), str(tmp_path / "result.PNG"), "--adaptor", "light"]
    result = CliRunner().invoke(app, [*command, "--device", "cpu"])
    assert isinstance(result.exception, OutputFolderError)
    assert "names a picture" in str(result.exception)
    assert not (tmp_path / "result.PNG").exists()
