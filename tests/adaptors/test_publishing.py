"""The commands of docs/publishing.md, run as they stand there, against a Hub on this machine."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_peft_layout import lora_of_peft
from toy_adaptors import METADATA
from toy_files import save_toy_adaptor
from toy_hub import serve_toy_hub

from retina_adapt.adaptors import describe_adaptor
from retina_adapt.backbones import load_backbone
from retina_adapt.embedded import backbone_folder

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "publishing.md"
# Every command in this one process: a new one for each would spend most of its time importing.
RUN_COMMANDS = """
import contextlib, io, shlex, sys
from pathlib import Path
from typer.testing import CliRunner
from retina_adapt.cli import app

values = {}
for line in sys.stdin.read().splitlines():
    name, assigns, command = line.partition("=")
    if assigns and name.isidentifier():
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(shlex.split(command.removeprefix("$(").removesuffix(")"))[2])
        values[name] = printed.getvalue().strip()
        continue
    words = [values.get(word[1:], word) if word.startswith("$") else word for word in shlex.split(line)]
    program, *arguments = words
    assert program == "retina-adapt", line
    target = None
    if ">" in arguments:
        arguments, target = arguments[: arguments.index(">")], arguments[-1]
    result = CliRunner().invoke(app, arguments)
    if result.exception or result.exit_code:
        raise SystemExit(f"{line}\\n{result.output}\\n{result.exception!r}")
    if target:
        Path(target).write_text(result.output)
    else:
        print(result.output, end="")
"""


def blocks(language: str) -> list[str]:
    """The code blocks of one language in the document."""
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_commands_take_an_adaptor_to_a_hub_and_back(tmp_path: Path) -> None:
    metadata = dataclasses.replace(METADATA, name="light")
    backbone = load_backbone(backbone_folder("nano"))
    saved = save_toy_adaptor(backbone, tmp_path / "runs" / "pairs_few" / "adaptor", metadata=metadata)
    convolutions = r"autoencoder\.encoder\.blocks\.\d\.branch\.[02]"
    lora_of_peft(load_backbone(backbone_folder("nano")), target_modules=convolutions).save_pretrained(tmp_path / "lora")
    (tmp_path / "light.yaml").write_text(blocks("yaml")[0])
    with serve_toy_hub() as hub:
        done = subprocess.run(
            [sys.executable, "-c", RUN_COMMANDS],
            input="".join(blocks("sh")),
            cwd=tmp_path,
            env=os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "secret", "HF_HUB_OFFLINE": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (revision,) = hub.repositories["clinic/light"]
        assert set(hub.tokens) == {"Bearer secret"}
    origin = json.loads((tmp_path / "adaptors" / "light" / "adaptor_origin.json").read_text())
    assert origin == {"repository": "clinic/light", "revision": revision, "sha256": saved.sha256}
    assert "nothing was uploaded" in done.stdout
    assert "identical: the same sha256" in done.stdout
    assert describe_adaptor(tmp_path / "light.safetensors").sha256 == saved.sha256
    assert describe_adaptor(tmp_path / "adaptors" / "imported").metadata.name == "imported"
