"""`retina-adapt app` where the extra is not installed."""

import sys

import pytest
from typer.testing import CliRunner

from retina_adapt.cli import app
from retina_adapt.commands.open_app import MissingExtraError


def test_without_the_extra_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("retina_adapt.app", "starlette"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    result = CliRunner().invoke(app, ["app", "--no-browser"])
    assert isinstance(result.exception, MissingExtraError)
    assert "pip install 'retina-adapt[app]'" in str(result.exception)
