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
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeGuard, TypeVar, get_args, get_origin

import yaml
from jsonargparse import ArgumentParser, Namespace

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


class _YamlLoader(yaml.SafeLoader):
    """PyYAML's safe loader, except that a key given twice is an error: PyYAML would silently drop the first value."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        names: list[Any] = []
        for key, _ in node.value:
            if key.value in names:
                raise yaml.composer.ComposerError(None, None, f"'{key.value}' is given twice", key.start_mark)
            names.append(key.value)
        return node


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
    options = known | {"print_config"}
    in_sections = {name.rpartition(".")[2] for name in known if "." in name}
    if has_dry_run := DRY_RUN_FIELD in in_sections:
        parser.add_argument(
            *DRY_RUN_OPTIONS,
            action="store_true",
            help="build everything, take two steps, validate, and print parameters, memory and the time of a full run; "
            "what it writes goes to <output_folder>/dry_run",
        )
        options |= {option.removeprefix("--") for option in DRY_RUN_OPTIONS}
    # A configuration that is itself a section has its own `resume`.
    if has_resume := RESUME_FIELD in in_sections - known:
        parser.add_argument(RESUME_OPTION, type=str | None, help="sets `resume` in every training below, e.g. to auto")
        options.add(RESUME_FIELD)
    parser.add_class_arguments(configuration_class, sub_configs=False)
    settings = dict(_settings(configuration_class))
    given = _with_files_read(sys.argv[1:] if arguments is None else arguments)
    _reject_unknown_keys(given, options, settings)
    try:
        namespace = parser.parse_args(_with_lists_begun_anew(given, _lists_of_sections(settings)))
        if has_resume and (resume := namespace[RESUME_FIELD]) is not None:
            _change_everywhere(namespace, RESUME_FIELD, lambda _: resume)
        # The shell expands ~ only at the beginning of a word, and not in files.
        for name, value in list(namespace.items()):
            if isinstance(value, str) and value.startswith("~/"):
                namespace[name] = str(Path(value).expanduser())
        if has_dry_run and namespace[DRY_RUN_FIELD]:
            _change_everywhere(namespace, DRY_RUN_FIELD, lambda _: True)
            _change_everywhere(namespace, "output_folder", lambda folder: str(Path(folder) / DRY_RUN_FIELD))
        elif has_dry_run and (tried := [name for name, value in _everywhere(namespace, DRY_RUN_FIELD) if value]):
            raise ConfigurationError(
                f"{tried[0]} is true, and {DRY_RUN_OPTIONS[0]} is not given; only the option keeps a dry run's files "
                f"apart from the run's own checkpoints, so leave {tried[0]} out and give {DRY_RUN_OPTIONS[0]}"
            )
        instances = vars(parser.instantiate(namespace))
    except RetinaAdaptError:
        raise
    except (ValueError, TypeError) as error:
        raise ConfigurationError(str(error)) from error
    return configuration_class(**{name: value for name, value in instances.items() if name in known})


def configuration_to_dict(configuration: Any) -> dict[str, Any]:
    """The configuration as plain values, which YAML and JSON can hold."""
    return _plain_values(dataclasses.asdict(configuration))


def store_configuration(configuration: Any, path: str | Path) -> None:
    """Write the resolved configuration as YAML, atomically; `--config` reads it back."""
    with write_file_atomically(path) as temporary:
        temporary.write_text(yaml.safe_dump(configuration_to_dict(configuration), sort_keys=False), encoding="utf-8")


def dotted_names(configuration_class: type) -> set[str]:
    """The names of all settings that an option can set, nested ones as `section.name`."""
    settings = dict(_settings(configuration_class))
    in_lists = tuple(f"{name}." for name in _lists_of_sections(settings))
    return {name for name in settings if not name.startswith(in_lists)}


def _settings(configuration_class: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the type of every setting, including those of sections and of lists of sections."""
    for field in dataclasses.fields(configuration_class):
        yield f"{prefix}{field.name}", field.type
        # A section may be optional (`Section | None`), or one of a list.
        for part in (field.type, *get_args(field.type)):
            if _is_section(part):
                yield from _settings(part, f"{prefix}{field.name}.")


def _is_section(kind: Any) -> TypeGuard[type]:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _lists_of_sections(settings: Mapping[str, Any]) -> set[str]:
    return {name for name, kind in settings.items() if get_origin(kind) is list and _is_section(get_args(kind)[0])}


def _everywhere(namespace: Namespace, field: str) -> list[tuple[str, Any]]:
    """The dotted name and the value of each setting `field`, in whichever section."""
    return [(name, value) for name, value in namespace.items() if name.rpartition(".")[2] == field]


def _change_everywhere(namespace: Namespace, field: str, change: Callable[[Any], Any]) -> None:
    for name, value in _everywhere(namespace, field):
        namespace[name] = change(value)


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
            names = {name for name, _ in _dotted_items(argument.content, lists)}
            argument = f"--config={argument.text}"
        else:
            names = {argument.removeprefix("--").partition("=")[0]} if argument.startswith("--") else set()
        expanded += [f"--{name}=[]" for name in sorted(names & lists)]
        expanded.append(argument)
    return expanded


def _reject_unknown_keys(
    given: Sequence[str | _ConfigurationFile], options: set[str], settings: Mapping[str, Any]
) -> None:
    """Reject unknown keys, as jsonargparse does too, but say which known key was probably meant."""
    for argument in given:
        if isinstance(argument, _ConfigurationFile):
            for name, value in _dotted_items(argument.content, settings):
                _require_known(name, settings.keys(), argument.path)
                _require_value(name, value, settings[name], argument.path)
        elif argument.startswith("--"):
            # jsonargparse reads `--key+` as an addition to a list.
            name = argument.removeprefix("--").partition("=")[0].removesuffix("+")
            # It prints the help of a section.
            if name.rpartition(".")[2] == "help":
                continue
            for whole in _lists_of_sections(settings):
                if name.startswith(f"{whole}."):
                    raise ConfigurationError(
                        f"the command line: '{name}' lies in a list, which is replaced whole: change it in the file, "
                        f"or give --{whole} '[{{key: value, …}}, …]'"
                    )
            _require_known(name, options, "the command line")


def _require_known(name: str, known: Collection[str], origin: str) -> None:
    if name not in known:
        in_sections = sorted(each for each in known if each.rpartition(".")[2] == name.rpartition(".")[2])
        hint = did_you_mean(name, known) or "; --help lists the known ones"
        if in_sections:
            hint = f"; did you mean {' or '.join(in_sections)}?"
        raise ConfigurationError(f"{origin}: unknown key '{name}'{hint}")


def _require_value(name: str, value: Any, kind: Any, path: str) -> None:
    """Refuse a value where keys belong, and nothing where a value belongs, as where lines are commented out."""
    parts, what = [value], "it is a section"
    if get_origin(kind) is list and isinstance(value, list):
        (kind,), parts, what = get_args(kind), value, "each of its entries is a section"
    for part in parts if _is_section(kind) else []:
        if not isinstance(part, dict):
            found = "empty" if part is None else repr(part)
            example = dataclasses.fields(kind)[0].name
            raise ConfigurationError(
                f"{path}: {name} is {found}, but {what}: give it keys, such as {example}, or leave it out"
            )
    # jsonargparse takes null in a file for a value of any type.
    if value is None and type(None) not in get_args(kind):
        raise ConfigurationError(f"{path}: {name} is empty; give it a value, or leave it out")


def _read_yaml(path: str) -> _ConfigurationFile:
    try:
        text = Path(path).read_text(encoding="utf-8")
        content = yaml.load(text, _YamlLoader)
    except yaml.YAMLError as error:
        place = f", line {mark.line + 1}" if (mark := getattr(error, "problem_mark", None)) else ""
        reason = getattr(error, "problem", None) or error
        raise ConfigurationError(
            f"{path}{place}: not valid YAML ({reason}); check indentation, quotes and brackets there and above"
        ) from error
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: no such configuration file") from error
    except OSError as error:
        raise ConfigurationError(f"{path or '--config'}: not a configuration file ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: a configuration file must hold 'key: value' lines")
    return _ConfigurationFile(path, text, content)


def _dotted_items(content: dict[str, Any], known: Collection[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values; a mapping that is itself a value (no known key lies below it) is not entered."""
    for key, value in content.items():
        yield f"{prefix}{key}", value
        section = f"{prefix}{key}."
        if any(name.startswith(section) for name in known):
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, dict):
                    yield from _dotted_items(part, known, section)


def _plain_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_values(item) for item in value]
    return str(value) if isinstance(value, Path) else value
