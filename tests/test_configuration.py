"""Configurations: YAML, overrides, and errors that suggest what was meant."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from retina_adapt.configuration import ConfigurationError, parse_configuration, store_configuration


@dataclass
class Inner:
    """Inner section.

    Args:
        steps: number of optimiser steps.
        rate: peak learning rate.
    """

    steps: int = 10
    rate: float = 1e-3


@dataclass
class Source:
    """A source.

    Args:
        path: where it is.
        where: conditions.
    """

    path: str
    where: dict[str, str | float | list[float]] = field(default_factory=dict)


@dataclass
class Outer:
    """Outer section.

    Args:
        name: what to call it.
        training: the loop.
        sources: where data come from.
    """

    name: str
    training: Inner = field(default_factory=Inner)
    sources: list[Source] = field(default_factory=list)


def parse(*arguments: str) -> Outer:
    return parse_configuration(Outer, description="a test", arguments=arguments)


def written(folder: Path, **values: object) -> str:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return str(path)


def test_values_come_from_yaml_and_the_command_line_wins(tmp_path: Path) -> None:
    path = written(tmp_path, name="a", training={"steps": 5, "rate": 0.5})
    config = parse("--config", path, "--training.rate", "1e-2")
    assert config == Outer("a", Inner(5, 0.01))


def test_lists_of_sections_become_dataclasses(tmp_path: Path) -> None:
    path = written(tmp_path, name="a", sources=[{"path": "x", "where": {"score": [0, 2.5]}}, {"path": "y"}])
    assert parse("--config", path).sources == [Source("x", {"score": [0, 2.5]}), Source("y")]


def test_a_stored_configuration_reads_back_equal(tmp_path: Path) -> None:
    config = parse("--name", "a", "--training.steps", "7")
    store_configuration(config, tmp_path / "stored.yaml")
    assert parse("--config", str(tmp_path / "stored.yaml")) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a", "trainning": {}}, "unknown key 'trainning'; did you mean 'training'"),
        ({"name": "a", "training": {"stepz": 3}}, "unknown key 'training.stepz'; did you mean 'training.steps'"),
        ({"name": "a", "training": {"steps": "many"}}, "training.steps"),
        ({"name": "a", "sources": [{"pfad": "x"}]}, "pfad"),
    ],
)
def test_what_does_not_fit_in_yaml_is_an_error(values: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse("--config", written(tmp_path, **values))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "a", "--training.step", "3"], "did you mean 'training.steps'"),
        (["--name", "a", "--training.steps=x"], "training.steps"),
        ([], "name"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: no such configuration file"),
    ],
)
def test_what_does_not_fit_on_the_command_line_is_an_error(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse(*arguments)


def test_help_lists_every_option_with_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    shown = capsys.readouterr().out
    for expected in ("--training.steps", "number of optimiser steps", "default: 10", "--name", "what to call it"):
        assert expected in shown
