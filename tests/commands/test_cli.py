"""`retina-adapt`, verb by verb, in this process."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from retina_adapt import __version__
from retina_adapt.cli import app
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import read_photograph


def run(*arguments: object) -> tuple[int, str]:
    """Exit status and all that was printed; errors of ours are raised, as `main` would show them."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    run("draw", tmp_path / "photographs", "--count", 2, "--size", 160)
    return tmp_path / "photographs"


def test_drawing_is_repeatable(photographs: Path, tmp_path: Path) -> None:
    run("draw", tmp_path / "again", "--count", 2, "--size", 160)
    for path in photographs.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_degrading_is_repeatable_recorded_and_replayed(photographs: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert run("degrade", photographs, tmp_path / name, "--preset", "haze", "--seed", 7)[0] == 0
    replayed = ("degrade", photographs, tmp_path / "c", "--replay", tmp_path / "a" / "degradations.json")
    assert run(*replayed)[0] == 0
    for path in photographs.iterdir():
        contents = {(tmp_path / name / path.name).read_bytes() for name in ("a", "b", "c")}
        assert len(contents) == 1
        assert contents != {path.read_bytes()}
    assert set(json.loads((tmp_path / "a" / "degradations.json").read_text())) == {
        path.name for path in photographs.iterdir()
    }


def test_severity_zero_changes_nothing(photographs: Path, tmp_path: Path) -> None:
    run("degrade", photographs, tmp_path / "same", "--preset", "light", "--severity", 0)
    for path in photographs.iterdir():
        assert np.array_equal(read_photograph(path).pixels, read_photograph(tmp_path / "same" / path.name).pixels)


def test_enhancing_with_two_adaptors_fills_a_folder_each(photographs: Path, tmp_path: Path) -> None:
    status, _ = run("enhance", photographs, tmp_path / "out", "--adaptor", "light", "--adaptor", "haze")
    assert status == 0
    for adaptor in ("light", "haze"):
        for path in photographs.iterdir():
            enhanced = read_photograph(tmp_path / "out" / adaptor / path.name)
            assert enhanced.pixels.shape == read_photograph(path).pixels.shape


def test_broken_photographs_are_reported_and_do_not_stop_the_rest(photographs: Path, tmp_path: Path) -> None:
    (photographs / "broken.png").write_bytes(b"no picture")
    (photographs / "sub").mkdir()
    (photographs / "drawn_0000.png").rename(photographs / "sub" / "deep.png")
    status, printed = run("enhance", photographs, tmp_path / "out", "--adaptor", "light")
    assert status == 1
    assert "broken.png" in printed.replace("\n", "")
    assert (tmp_path / "out" / "sub" / "deep.png").is_file()
    assert (tmp_path / "out" / "drawn_0001.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("enhance", "{photographs}", "{out}", "--adaptor", "lihgt"), "embedded adaptors"),
        (("enhance", "{photographs}", "{photographs}", "--adaptor", "light"), "name another folder"),
        (("enhance", "{out}/nowhere", "{out}", "--adaptor", "light"), "nowhere"),
        (("degrade", "{photographs}", "{out}", "--preset", "haez"), "haze"),
        (("degrade", "{photographs}", "{out}", "--replay", "{out}/none.json"), "none.json: no such file; give the deg"),
        (("adaptors", "import", "lora", "{out}", "--metadata", "{out}.yaml"), "no such file; check --metadata"),
        (("adaptors", "list", "{out}"), "no such folder; give one that holds adaptors"),
        (("runs", "list", "{out}"), "no such folder; give one that trainings wrote to"),
        (("runs", "compare", "{out}"), "'retina-adapt runs list' shows"),
        (("recipes", "copy", "adpt"), "there are: adapt"),
    ],
)
def test_mistakes_are_errors_that_say_what_to_do(
    arguments: tuple[str, ...], message: str, photographs: Path, tmp_path: Path
) -> None:
    filled = [argument.format(photographs=photographs, out=tmp_path / "out") for argument in arguments]
    with pytest.raises(RetinaAdaptError, match=message):
        run(*filled)


def test_lists_and_version(tmp_path: Path) -> None:
    assert "light: 1 or 2 of halo" in run("presets")[1]
    assert "adapt: Adaptation: fit a frozen backbone" in run("recipes", "list")[1]
    assert __version__ in run("--version")[1]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("retina-adapt enh", {"enhance"}),
        ("retina-adapt enhance in out --adaptor ", {"auto", "blur", "haze", "light", "mixed", "spots"}),
        ("retina-adapt degrade in out --preset low", {"low_light"}),
    ],
)
def test_the_shell_completes_verbs_adaptors_and_presets(words: str, expected: set[str]) -> None:
    environment = {
        "_RETINA_ADAPT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    result = CliRunner().invoke(app, [], env=environment, prog_name="retina-adapt")
    assert expected <= set(result.output.split())


def test_every_verb_that_works_on_files_has_an_example() -> None:
    for verb in ("enhance", "degrade", "draw", "demo", "app"):
        assert "Example" in run(verb, "--help")[1]
