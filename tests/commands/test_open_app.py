"""`retina-adapt app` up to where it serves: the extra, the device, the adaptors."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retina_adapt.adaptors import AdaptorNameError
from retina_adapt.cli import app
from retina_adapt.commands.open_app import MissingExtraError
from retina_adapt.commands.processes import DeviceError


def test_without_the_extra_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("retina_adapt.app", "starlette"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    result = CliRunner().invoke(app, ["app", "--no-browser"])
    assert isinstance(result.exception, MissingExtraError)
    assert "pip install '.[app]'" in str(result.exception)


def test_mistakes_in_device_and_names_are_errors_that_say_what_to_do(
    toy_backbone_folder: Path, toy_adaptor_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install '.[app]'")
    command = ["app", "--no-browser", "--port", "0", "--backbone", str(toy_backbone_folder)]
    result = CliRunner().invoke(app, [*command, "--device", "gpu"])
    assert isinstance(result.exception, DeviceError)
    twice = ["--adaptor", f"mine={toy_adaptor_folder}"] * 2
    result = CliRunner().invoke(app, [*command, *twice])
    assert isinstance(result.exception, AdaptorNameError)
    assert "'mine'" in str(result.exception)
    assert "NAME=PATH" in str(result.exception)
