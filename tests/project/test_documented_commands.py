"""Every command of the documentation is one that its program takes, and short ones are run.

Bash itself reads the blocks: its variables, loops and joined lines. In place of the programs it finds recorders, and
what they recorded goes to the real parsers: `retina-adapt`'s, Accelerate's launcher's, and, by running the recipe up to
its resolved configuration, the recipe's with its committed YAML files.
"""

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from accelerate.commands.launch import launch_command_parser
from documented_blocks import ROOT, blocks, pages_with
from typer.main import get_command
from typer.testing import CliRunner

from retina_adapt.cli import app
from retina_adapt.commands.recipes import recipes_folder

# Of the verbs of `retina-adapt`, these are run: they ask for nothing but photographs and take seconds.
RUN = ["enhance", "presets", "degrade", "recipes"]
# Programs whose command lines are not this project's to check.
OTHERS = {
    "cp": "copies photographs, or the result of a training",
    "mkdir": "makes folders for copies",
    "ls": "lists photographs to copy",
    "head": "takes the first of them",
    "tensorboard": "serves until it is stopped",
    "mkdocs": "run by .ci/checks/site",
    "mypy": "its configuration is in pyproject.toml",
    "ruff": "run by .ci/run",
    "pytest": "run by .ci/run",
    "git": "the reader's checkout",
}
# Between the words of a command, and behind it.
SEPARATOR, END = "\x1f", "\x1e"
RECORDER = r"""#!/bin/bash
{ printf '%s\x1f' "${0##*/}" "$@"; printf '\x1e'; } >> "$RECORD"
"""
# What the pages ask the reader to fill in.
ENVIRONMENT = {"RANK": "0", "HOST": "localhost"}


def recorded(text: str, workplace: Path) -> list[list[str]]:
    """The commands, as lists of words, that bash starts in a block."""
    recorder = workplace / ".venv" / "bin" / "recorder"
    recorder.parent.mkdir(parents=True, exist_ok=True)
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    for name in ["retina-adapt", "accelerate", "python", "python3", "pip", *OTHERS]:
        copy = recorder.parent / name
        copy.unlink(missing_ok=True)
        copy.symlink_to(recorder.name)
    (workplace / ".ci").mkdir(exist_ok=True)
    for script in (path for path in (ROOT / ".ci").rglob("*") if path.is_file()):
        copy = workplace / script.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(RECORDER)
        copy.chmod(0o755)
    record = workplace / "record"
    record.write_text("")
    environment = ENVIRONMENT | {"PATH": str(recorder.parent), "RECORD": str(record)}
    # What bash itself says, such as of a word that is no program here, is an error of the page.
    done = subprocess.run(
        ["/bin/bash", "-eu", "-c", text], cwd=workplace, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [command.split(SEPARATOR)[:-1] for command in record.read_text().split(END)[:-1]]


def check_verb(words: Sequence[str]) -> None:
    """`retina-adapt` takes these words."""
    command, arguments = get_command(app), list(words)
    while hasattr(command, "commands"):
        assert arguments[0] in command.commands, f"no verb '{arguments[0]}'"
        command = command.commands[arguments.pop(0)]
    command.make_context("retina-adapt", arguments)


def check_launch(words: Sequence[str], workplace: Path, start_recipe: Callable[..., str]) -> None:
    """Accelerate's launcher takes the words before the script, and the script those behind it."""
    assert words[0] == "launch"
    parsed = launch_command_parser().parse_args(list(words[1:]))
    if parsed.config_file:
        assert (workplace / parsed.config_file).is_file()
    if parsed.module:
        assert parsed.training_script == "retina_adapt"
        check_verb(parsed.training_script_args)
    else:
        check_recipe(parsed.training_script, parsed.training_script_args, workplace, start_recipe)


def check_recipe(script: str, words: Sequence[str], workplace: Path, start_recipe: Callable[..., str]) -> None:
    """The recipe resolves its configuration."""
    assert (workplace / script).is_file(), f"{script}: no such file"
    with pytest.raises(SystemExit) as ended:
        start_recipe(Path(script).stem, *words, "--print_config")
    assert not ended.value.code, ended.value.code


def check_install(words: Sequence[str]) -> None:
    """The extras that are asked for exist."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in words:
        for names in re.findall(r"^(?:\.|retina-adapt)\[(.*)\]$", word):
            assert set(names.split(",")) <= set(extras)


def check(words: Sequence[str], workplace: Path, start_recipe: Callable[..., str]) -> None:
    program, *arguments = words
    if program == "retina-adapt":
        check_verb(arguments)
        if arguments[0] in RUN:
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0, result.output
    elif program == "accelerate":
        check_launch(arguments, workplace, start_recipe)
    elif program == "pip":
        check_install(arguments)
    elif program.startswith("python") and arguments[0] == "-c":
        compile(arguments[1], program, "exec")
    elif program.startswith("python") and arguments[0] != "-m":
        check_recipe(arguments[0], arguments[1:], workplace, start_recipe)


@pytest.mark.parametrize("page", pages_with("sh"))
def test_the_commands_of_a_page_are_taken(page: str, workplace: Path, start_recipe: Callable[..., str]) -> None:
    for copied_to in ("pairs/high", "pairs/validation/high"):
        shutil.copytree(workplace / "photographs", workplace / copied_to)
    for block in blocks(page):
        if block.language != "sh":
            continue
        for words in recorded(block.text, workplace):
            try:
                check(words, workplace, start_recipe)
            except (Exception, SystemExit) as error:
                raise AssertionError(f"{page}:{block.line}: {shlex.join(words)}: {error}") from error


def test_what_no_program_takes_is_found(workplace: Path, start_recipe: Callable[..., str]) -> None:
    """The test above could fail."""
    configs = recipes_folder() / "configs"
    for text in (
        "retina-adapt enhanse photographs enhanced",
        "retina-adapt enhance photographs enhanced --adapter light",
        "accelerate launch --processes 2 recipes/adapt.py",
        f"accelerate launch recipes/adapt.py --config {configs}/adapt_light.yaml --autoencoder.stepps 4",
        f"for name in light glare; do python recipes/adapt.py --config {configs}/adapt_$name.yaml; done",
        "python recipes/train.py",
        "pip install 'retina-adapt[gpu]'",
    ):
        with pytest.raises((Exception, SystemExit)):  # noqa: PT012 - each parser has an exception of its own
            for words in recorded(text, workplace):
                check(words, workplace, start_recipe)
