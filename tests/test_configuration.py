"""Configurations: YAML, overrides, and errors that suggest what was meant."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retina_adapt.configuration import ConfigurationError, parse_configuration, store_configuration
from retina_adapt.training import TrainingSettings, TrainingSettingsError


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
        reserve: where data come from if need be.
    """

    name: str
    training: Inner = field(default_factory=Inner)
    sources: list[Source] = field(default_factory=list)
    reserve: Source | None = None


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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("name:", "name is empty"),
        ("training:\n  steps:", "training.steps is empty"),
        ("sources:", "sources is empty"),
        ("reserve:\n  path:", "reserve.path is empty"),
        ("sources:\n- path:", "sources.path is empty"),
    ],
)
def test_a_setting_without_a_value_is_told(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"{line}\n")
    with pytest.raises(ConfigurationError, match=rf"config\.yaml: {message}; give it a value"):
        parse("--name", "a", "--config", str(path))


def test_a_key_given_twice_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("name: a\ntraining:\n  steps: 5\ntraining:\n  rate: 0.1\n")
    with pytest.raises(ConfigurationError, match=r"config\.yaml, line 4: not valid YAML \('training' is given twice\)"):
        parse("--config", str(path))


def test_keys_may_come_from_an_anchor_and_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("name: a\nsources:\n- &first\n  path: x\n  where: {score: 1}\n- <<: *first\n  path: y\n")
    assert parse("--config", str(path)).sources == [Source("x", {"score": 1}), Source("y", {"score": 1})]


@pytest.mark.parametrize(("value", "found"), [(None, "empty"), (3, "3")])
def test_a_section_without_keys_is_told(value: object, found: str, tmp_path: Path) -> None:
    path = written(tmp_path, name="a", training=value)
    with pytest.raises(ConfigurationError, match=rf"config\.yaml: training is {found}, .* such as steps"):
        parse("--config", path)


def test_the_line_of_a_mistake_in_yaml_is_told(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("name: a\n training:\n  steps: 5\n")
    with pytest.raises(ConfigurationError, match=r"config\.yaml, line 2: not valid YAML"):
        parse("--config", str(path))


def test_what_comes_later_on_the_command_line_wins(tmp_path: Path) -> None:
    path = written(tmp_path, name="a", training={"steps": 5})
    assert parse("--training.steps", "6", "--config", path).training == Inner(steps=5)
    assert parse("--config", path, "--training.steps=6", "--training.steps=7").training == Inner(steps=7)


def test_an_optional_section_can_be_given_whole_and_by_its_keys(tmp_path: Path) -> None:
    path = written(tmp_path, name="a", reserve={"path": "x", "where": {"score": 1}})
    assert parse("--config", path).reserve == Source("x", {"score": 1})
    assert parse("--config", path, "--reserve.path", "y").reserve == Source("y", {"score": 1})
    assert parse("--name", "a", "--reserve.path", "z").reserve == Source("z")


def test_lists_of_sections_become_dataclasses(tmp_path: Path) -> None:
    path = written(tmp_path, name="a", sources=[{"path": "x", "where": {"score": [0, 2.5]}}, {"path": "y"}])
    assert parse("--config", path).sources == [Source("x", {"score": [0, 2.5]}), Source("y")]


conditions = st.dictionaries(st.sampled_from(["score", "camera"]), st.floats(allow_nan=False, allow_infinity=False))
sources = st.builds(Source, path=st.sampled_from(["x", "no", "null", "12", "a: b", "~", ""]), where=conditions)
configurations = st.builds(
    Outer,
    name=st.sampled_from(["a", "off", "true", "é", "1"]),
    training=st.builds(Inner, steps=st.integers(), rate=st.floats(allow_nan=False, allow_infinity=False)),
    sources=st.lists(sources, max_size=2),
    reserve=st.none() | sources,
)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configurations)
def test_a_stored_configuration_reads_back_equal(config: Outer, tmp_path: Path) -> None:
    store_configuration(config, tmp_path / "stored.yaml")
    assert parse("--config", str(tmp_path / "stored.yaml")) == config


def test_an_error_of_the_configuration_itself_comes_through(tmp_path: Path) -> None:
    path = written(tmp_path, steps=-1)
    with pytest.raises(TrainingSettingsError, match="must not be negative"):
        parse_configuration(TrainingSettings, description="a test", arguments=["--config", path])


def test_a_list_of_sections_is_replaced_whole(tmp_path: Path) -> None:
    path = written(tmp_path, name="a", sources=[{"path": "x", "where": {"score": 1.0}}])
    for option in (["--sources", '[{"path": "y"}]'], ['--sources=[{"path": "y"}]']):
        assert parse("--config", path, *option).sources == [Source("y")]
    (tmp_path / "other").mkdir()
    other = written(tmp_path / "other", sources=[{"path": "y"}])
    assert parse("--config", path, "--config", other).sources == [Source("y")]
    assert parse("--config", path, f"--config={other}").sources == [Source("y")]
    # A value is no option, whatever it is called.
    assert parse("--config", path, "--name", "config").name == "config"
    assert parse("--config", path, "--name", "b").sources == [Source("x", {"score": 1.0})]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a", "trainning": {}}, "unknown key 'trainning'; did you mean 'training'"),
        ({"name": "a", "training": {"stepz": 3}}, "unknown key 'training.stepz'; did you mean 'training.steps'"),
        ({"name": "a", "training": {"steps": "many"}}, "training.steps is many; it must be a whole number$"),
        (
            {"name": "a", "sources": [{"path": "x", "where": {"eye": ["left"]}}]},
            r"where is \['left'\]; it must be text or a number or a list of numbers$",
        ),
        ({"name": "a", "sources": [{"paht": "x"}]}, "unknown key 'sources.paht'; did you mean 'sources.path'"),
        ({"name": "a", "sources": ["x"]}, "sources is 'x', but each of its entries is a section: .* such as path"),
        ({"name": "a", "sources": {"path": "x"}}, "sources is {'path': 'x'}; it must be a list"),
        ({"name": "a", "reserve": {"pathh": "x"}}, "unknown key 'reserve.pathh'; did you mean 'reserve.path'"),
        ({"name": "a", "reserve": {"where": {}}}, "required: path"),
    ],
)
def test_what_does_not_fit_in_yaml_is_an_error(values: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse("--config", written(tmp_path, **values))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "a", "--training.step", "3"], "did you mean 'training.steps'"),
        (["--name", "a", "--training.rate=x"], "training.rate is x; it must be a number$"),
        (["--name", "a", "--trainning.rate=1"], "did you mean training.rate?"),
        (["--name", "a", "--sources.path", "x"], r"'sources\.path' lies in a list.* or give --sources '\["),
        (["--name", "a", "--sources.0.path=x"], r"'sources\.0\.path' lies in a list"),
        (["--name", "a", "--source+", "{path: x}"], "did you mean 'sources'"),
        (["--name", "a", "--training.steps", "null"], "training.steps is None; it must be a whole number"),
        ([], "name"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: no such configuration file"),
        (["--config", "/"], r"/: not a configuration file \(.*directory\)"),
        (["--name", "a", "--config"], r"--config: not a configuration file"),
    ],
)
def test_what_does_not_fit_on_the_command_line_is_an_error(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse(*arguments)


@pytest.mark.parametrize("content", ["- a\n", "a: [\n", "", "# nothing yet\n"])
def test_a_file_that_holds_no_keys_is_an_error_that_names_it(content: str, tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text(content)
    with pytest.raises(ConfigurationError, match=r"list\.yaml"):
        parse("--config", str(tmp_path / "list.yaml"))


def test_help_lists_every_option_with_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    shown = " ".join(capsys.readouterr().out.split())
    for expected in (
        *("--name", "what to call it"),
        *("--training.steps", "number of optimiser steps. (type: int, default: 10)"),
        *("--training.rate", "peak learning rate. (type: float, default: 0.001)"),
        *("--sources", "where data come from"),
        *("--reserve", "where data come from if need be"),
    ):
        assert expected in shown


@pytest.mark.parametrize("section", ["reserve", "sources"])
def test_help_of_a_section_is_not_an_unknown_key(section: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(f"--{section}.help")
    assert "where it is" in capsys.readouterr().out


@dataclass
class Recipe:
    """A recipe with two trainings.

    Args:
        output_folder: where to.
        first: the first one.
        second: the second one.
    """

    output_folder: str
    first: TrainingSettings = field(default_factory=TrainingSettings)
    second: TrainingSettings = field(default_factory=TrainingSettings)


@pytest.mark.parametrize("option", ["--dry-run", "--dry_run"])
def test_a_dry_run_concerns_every_training_and_writes_elsewhere(option: str) -> None:
    arguments = ["--output_folder", "runs/a", option, "--second.steps", "7"]
    config = parse_configuration(Recipe, description="a test", arguments=arguments)
    assert config == Recipe("runs/a/dry_run", TrainingSettings(dry_run=True), TrainingSettings(steps=7, dry_run=True))
    assert not parse_configuration(Recipe, description="a test", arguments=arguments[:2]).first.dry_run


def test_a_setting_without_its_section_is_told_where_it_is() -> None:
    with pytest.raises(ConfigurationError, match=r"'seed'; did you mean first\.seed or second\.seed\?"):
        parse_configuration(Recipe, description="a test", arguments=["--output_folder", "runs/a", "--seed", "5"])


def test_a_dry_run_is_asked_for_by_its_option_alone(tmp_path: Path) -> None:
    arguments = ["--output_folder", "runs/a", "--second.dry_run", "true"]
    with pytest.raises(ConfigurationError, match=r"second\.dry_run is true, and --dry-run is not given"):
        parse_configuration(Recipe, description="a test", arguments=arguments)
    assert parse_configuration(Recipe, description="a test", arguments=[*arguments, "--dry-run"]).first.dry_run


def test_a_file_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_bytes("output_folder: Fotos für A".encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"old\.yaml: not UTF-8.*save it as UTF-8"):
        parse_configuration(Recipe, description="a test", arguments=["--config", str(tmp_path / "old.yaml")])


@pytest.mark.skipif(sys.platform == "win32", reason="has no such files")
def test_a_configuration_may_come_through_a_pipe() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"name: a\n")
    os.close(writing)
    assert parse("--config", f"/dev/fd/{reading}").name == "a"
    os.close(reading)


def test_a_file_is_read_once_and_as_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A second reader, jsonargparse's, would take the system's encoding, which on Windows is another one.
    path, load = tmp_path / "config.yaml", yaml.load
    path.write_text("name: Kähler\n", encoding="utf-8")

    def load_and_delete(*arguments: object, **keywords: object) -> object:
        path.unlink(missing_ok=True)
        return load(*arguments, **keywords)

    monkeypatch.setattr(yaml, "load", load_and_delete)
    assert parse("--config", str(path)).name == "Kähler"


def test_resume_concerns_every_training_and_may_come_from_yaml(tmp_path: Path) -> None:
    def parse_recipe(*arguments: str) -> Recipe:
        return parse_configuration(Recipe, description="a test", arguments=["--output_folder", "runs/a", *arguments])

    assert parse_recipe("--resume", "auto") == Recipe("runs/a")
    always = TrainingSettings(resume="always")
    assert parse_recipe("--resume=always", "--second.resume", "never") == Recipe("runs/a", always, always)
    path = written(tmp_path, second={"resume": "never"})
    assert parse_recipe("--config", path) == Recipe("runs/a", second=TrainingSettings(resume="never"))
    with pytest.raises(TrainingSettingsError, match=r"'allways'.*did you mean 'always'"):
        parse_recipe("--resume", "allways")


def test_where_nothing_is_trained_there_is_neither_dry_run_nor_resume() -> None:
    for option in ("--dry-run", "--resume=auto"):
        with pytest.raises(ConfigurationError, match=option[2:8]):
            parse("--name", "a", option)


def test_help_lists_the_options_that_concern_every_training(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_configuration(Recipe, description="a test", arguments=["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--resume RESUME" in shown
    assert "--dry-run" in shown


def test_the_home_folder_is_understood_in_every_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = written(tmp_path, name="~/runs/a", reserve={"path": "~5 photographs", "where": {"score": 1}})
    assert parse("--config", path) == Outer(
        str(tmp_path / "runs" / "a"), reserve=Source("~5 photographs", {"score": 1})
    )
    assert parse("--name=~/b").name == str(tmp_path / "b")
