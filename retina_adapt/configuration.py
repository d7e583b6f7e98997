"""Configurations: typed dataclasses with values from YAML and overrides on the command line.

    accelerate launch recipes/adapt.py --config adapt.yaml --autoencoder.steps 200

Unknown keys and values of the wrong type are errors; `--help` lists every option with type, default and meaning,
taken from the dataclass's docstring. In configurations with sections for training, two options apply to every section
with a field of their name: `--resume VALUE` sets `resume`, and `--dry-run` sets `dry_run` and replaces `output_folder`
by its subfolder `dry_run`.
"""

import dataclasses
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args, get_origin

import yaml
from jsonargparse import ArgumentParser

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.suggestions import did_you_mean

Configuration = TypeVar("Configuration")


# jsonargparse's names for types, and ours.
_TYPES_IN_WORDS = {
    "<class 'bool'>": "true or false",
    "<class 'str'>": "text",
    "<class 'int'>": "a whole number",
    "<class 'float'>": "a number",
    "<class 'list'>": "a list",
    "<class 'dict'>": "a mapping",
    "<class 'NoneType'>": "null",
    "list[float]": "a list of numbers",
    "list[str]": "a list of texts",
}
DRY_RUN_FIELD = "dry_run"
# With a hyphen, as programs commonly write it, and with an underscore, as in the other options of recipes.
DRY_RUN_OPTIONS = ("--dry-run", "--dry_run")
RESUME_OPTION, RESUME_FIELD = "--resume", "resume"


class ConfigurationError(RetinaAdaptError):
    """An unknown key, a missing value or a value out of range."""


@dataclasses.dataclass(frozen=True)
class _ConfigurationFile:
    """A file named on the command line: its text, and the content of its YAML."""

    path: str
    text: str
    content: dict[str, Any]


class _RaisingParser(ArgumentParser):
    """A parser that raises an error, for tests and notebooks, where jsonargparse would end the process."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise ConfigurationError(_in_words(message)) from ex


def parse_configuration(
    configuration_class: type[Configuration], *, description: str, arguments: Sequence[str] | None = None
) -> Configuration:
    """Build a configuration from `--config FILE.yaml` and `--key.subkey value` overrides; later ones win.

    Args:
        configuration_class: a dataclass whose fields are plain values or further dataclasses.
        description: shown by `--help`.
        arguments: the command line without the program's name; `sys.argv[1:]` by default.

    Raises:
        ConfigurationError: a key is unknown (the nearest known one is suggested), a value does not fit, or a file
            cannot be read.
    """
    parser = _RaisingParser(description=description, default_env=False)
    parser.add_argument("--config", action="config", help="YAML file with values for any of the options below")
    known = dotted_names(configuration_class)
    in_sections = {name.rpartition(".")[2] for name in known if "." in name}
    if DRY_RUN_FIELD in in_sections:
        parser.add_argument(
            *DRY_RUN_OPTIONS,
            action="store_true",
            help="build everything, take two steps, validate, and print parameters, memory and the time of a full run; "
            "what it writes goes to <output_folder>/dry_run",
        )
    # A configuration that is itself a section has its own `resume`.
    if has_resume := RESUME_FIELD in in_sections - known:
        parser.add_argument(RESUME_OPTION, type=str | None, help="sets `resume` in every training below, e.g. to auto")
    parser.add_class_arguments(configuration_class, sub_configs=False)
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = {RESUME_FIELD} if has_resume else set()
    given = _with_files_read(arguments)
    _reject_unknown_keys(given, known | options, configuration_class)
    try:
        namespace = parser.parse_args(_with_lists_begun_anew(given, _lists_of_sections(configuration_class)))
        instances = parser.instantiate(namespace)
    except RetinaAdaptError:
        raise
    except (ValueError, TypeError) as error:
        raise ConfigurationError(str(error)) from error
    values = {key: value for key, value in vars(instances).items() if key in known}
    configuration = configuration_class(**values)
    if has_resume and instances[RESUME_FIELD] is not None:
        configuration = _in_every_section(configuration, {RESUME_FIELD: lambda _: instances[RESUME_FIELD]})
    # The shell expands ~ on the command line, but not in files.
    configuration = _in_every_section(configuration, {"output_folder": _without_tilde})
    if any(option in arguments for option in DRY_RUN_OPTIONS):
        elsewhere = {DRY_RUN_FIELD: lambda _: True, "output_folder": lambda folder: str(Path(folder) / DRY_RUN_FIELD)}
        return _in_every_section(configuration, elsewhere)
    tried = [name for name, value in _settings(configuration) if name.split(".")[-1] == DRY_RUN_FIELD and value]
    if DRY_RUN_FIELD in in_sections and tried:
        raise ConfigurationError(
            f"{tried[0]} is true, and {DRY_RUN_OPTIONS[0]} is not given; only the option keeps a dry run's files apart "
            f"from the run's own checkpoints, so leave {tried[0]} out and give {DRY_RUN_OPTIONS[0]}"
        )
    return configuration


def _without_tilde(folder: str) -> str:
    return str(Path(folder).expanduser()) if folder.startswith("~") else folder


def configuration_to_dict(configuration: Any) -> dict[str, Any]:
    """The configuration as plain values, which YAML and JSON can hold."""
    return _plain_values(dataclasses.asdict(configuration))


def store_configuration(configuration: Any, path: str | Path) -> None:
    """Write the resolved configuration as YAML, atomically; `--config` reads it back."""
    with write_file_atomically(path) as temporary:
        temporary.write_text(yaml.safe_dump(configuration_to_dict(configuration), sort_keys=False), encoding="utf-8")


def _in_every_section(section: Any, changes: Mapping[str, Callable[[Any], Any]]) -> Any:
    """A copy of the section with the fields of these names changed, its own and those of nested sections."""
    changed = {}
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if field.name in changes:
            changed[field.name] = changes[field.name](value)
        elif dataclasses.is_dataclass(value):
            changed[field.name] = _in_every_section(value, changes)
    return dataclasses.replace(section, **changed)


def _settings(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and value of every setting, including those of nested sections."""
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        yield prefix + field.name, value
        if dataclasses.is_dataclass(value):
            yield from _settings(value, f"{prefix}{field.name}.")


def dotted_names(configuration_class: type, prefix: str = "", *, in_lists: bool = False) -> set[str]:
    """The names of all settings, nested ones as `section.name`; `in_lists` adds those within lists of sections."""
    names: set[str] = set()
    for field in dataclasses.fields(configuration_class):
        names.add(prefix + field.name)
        # A section may be optional: `section: Section | None`.
        is_union = isinstance(field.type, types.UnionType) or (in_lists and get_origin(field.type) is list)
        choices: tuple[Any, ...] = get_args(field.type) if is_union else (field.type,)
        for section in choices:
            if isinstance(section, type) and dataclasses.is_dataclass(section):
                names |= dotted_names(section, f"{prefix}{field.name}.", in_lists=in_lists)
    return names


def _in_words(message: str) -> str:
    """Reword jsonargparse's message on a value that does not fit, for people who do not know Python's types."""
    found = re.match(r'Parser key "(?P<key>[^"]+)":\s+(?:Expected a (?P<type>.+?)\. Got|Does not .+)', message)
    values = re.findall(r"(?:Got|Given) value: (.*)$", message, flags=re.MULTILINE)
    if not found or not values:
        return message
    union = re.search(r"^\s*Subtypes: \[(.*)\]$", message, flags=re.MULTILINE)
    kinds = []
    # Commas within brackets belong to a type.
    for kind in re.split(r", (?![^\[]*\])", union[1]) if union else [found["type"]]:
        choices = re.findall(r"'([^']*)'", kind) if "Literal" in kind else []
        if not choices and kind not in _TYPES_IN_WORDS:
            # A section: the fault is in one of its values.
            return message
        kinds.append(" or ".join(choices) or _TYPES_IN_WORDS[kind])
    return f"{found['key']} is {values[-1]}; it must be {' or '.join(kinds)}"


def _lists_of_sections(configuration_class: type, prefix: str = "") -> set[str]:
    """The dotted names of the settings that are lists of sections, except those in optional sections."""
    names: set[str] = set()
    for field in dataclasses.fields(configuration_class):
        if get_origin(field.type) is list and dataclasses.is_dataclass(get_args(field.type)[0]):
            names.add(prefix + field.name)
        elif isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            names |= _lists_of_sections(field.type, f"{prefix}{field.name}.")
    return names


def _with_files_read(arguments: Sequence[str]) -> list[str | _ConfigurationFile]:
    """The arguments, with each `--config FILE` and `--config=FILE` read."""
    given: list[str | _ConfigurationFile] = []
    remaining = iter(arguments)
    for argument in remaining:
        option, _, path = argument.partition("=")
        given.append(_read_yaml(path or next(remaining, "")) if option == "--config" else argument)
    return given


def _with_lists_begun_anew(given: Sequence[str | _ConfigurationFile], lists: set[str]) -> list[str]:
    """The arguments for jsonargparse, with an empty list before each new value of a list of sections.

    Otherwise, if the new list is as long as the old one, jsonargparse fills the gaps of each entry from the old list:
    photographs of another folder would keep the limit of those they replace. Files are passed as text, because
    jsonargparse would read them in the system's encoding, which on Windows is not the one that YAML is written in.
    """
    expanded: list[str] = []
    for argument in given:
        if isinstance(argument, _ConfigurationFile):
            names = set(_dotted_keys(argument.content, lists))
            argument = f"--config={argument.text}"
        else:
            names = {argument.removeprefix("--").partition("=")[0]} if argument.startswith("--") else set()
        expanded += [f"--{name}=[]" for name in sorted(names & lists)]
        expanded.append(argument)
    return expanded


def _reject_unknown_keys(given: Sequence[str | _ConfigurationFile], known: set[str], configuration_class: type) -> None:
    """Reject unknown keys, as jsonargparse does too, but say which known key was probably meant."""
    known_in_yaml = dotted_names(configuration_class, in_lists=True)
    for argument in given:
        if isinstance(argument, _ConfigurationFile):
            for key in _dotted_keys(argument.content, known_in_yaml):
                _require_known(key, known_in_yaml, argument.path)
            _require_sections(argument.content, configuration_class, argument.path)
            continue
        name = argument.removeprefix("--").split("=", 1)[0]
        if (
            not argument.startswith("--")
            or argument in DRY_RUN_OPTIONS
            or name == "print_config"
            or name.split(".")[-1] == "help"
        ):
            continue
        if not re.search(r"\+$", name):
            _require_known(name, known, "the command line")


def _require_known(name: str, known: set[str], origin: str) -> None:
    if name not in known:
        in_sections = sorted(each for each in known if each.rpartition(".")[2] == name.rpartition(".")[2])
        hint = did_you_mean(name, known) or "; --help lists the known ones"
        if in_sections:
            hint = f"; did you mean {' or '.join(in_sections)}?"
        raise ConfigurationError(f"{origin}: unknown key '{name}'{hint}")


def _require_sections(content: Mapping[str, Any], configuration_class: type, path: str, prefix: str = "") -> None:
    """Refuse a value where keys belong, for instance a section whose lines are all commented out."""
    for field in dataclasses.fields(configuration_class):
        if field.name not in content or not (isinstance(field.type, type) and dataclasses.is_dataclass(field.type)):
            continue
        name, value = f"{prefix}{field.name}", content[field.name]
        if not isinstance(value, dict):
            found = "empty" if value is None else repr(value)
            example = dataclasses.fields(field.type)[0].name
            raise ConfigurationError(
                f"{path}: {name} is {found}, but it is a section: give it keys, such as {example}, or leave it out"
            )
        _require_sections(value, field.type, path, f"{name}.")


def _read_yaml(path: str) -> _ConfigurationFile:
    if not Path(path).is_file():
        raise ConfigurationError(f"{path or '--config'}: no such configuration file")
    try:
        text = Path(path).read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = f", line {mark.line + 1}" if (mark := getattr(error, "problem_mark", None)) else ""
        reason = getattr(error, "problem", None) or error
        raise ConfigurationError(
            f"{path}{place}: not valid YAML ({reason}); check indentation, quotes and brackets there and above"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: a configuration file must hold 'key: value' lines")
    return _ConfigurationFile(path, text, content)


def _dotted_keys(content: dict[str, Any], known: set[str], prefix: str = "") -> Iterator[str]:
    """Yield dotted keys; a mapping that is itself a value (no known key lies below it) is not entered."""
    for key, value in content.items():
        yield f"{prefix}{key}"
        section = f"{prefix}{key}."
        if any(name.startswith(section) for name in known):
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, dict):
                    yield from _dotted_keys(part, known, section)


def _plain_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_values(item) for item in value]
    return str(value) if isinstance(value, Path) else value
