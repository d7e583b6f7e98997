"""docs/enhancing.md runs as written."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retina_adapt.cli import app
from retina_adapt.commands.draw import draw_photographs

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "enhancing.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with drawn photographs, which the commands run in."""
    draw_photographs(tmp_path / "photographs", count=2, seed=0, size=160)
    (tmp_path / "photograph.png").write_bytes((tmp_path / "photographs" / "drawn_0000.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_command_enhances_a_folder(workplace: Path) -> None:
    program, *arguments = shlex.split(blocks("sh")[0])
    assert program == "retina-adapt"
    result = CliRunner().invoke(app, [*arguments, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert len(list((workplace / "enhanced").glob("*.png"))) == 2


def test_the_python_code_runs(workplace: Path) -> None:
    for code in blocks("python"):
        exec(compile(code, str(DOCUMENT), "exec"), {})
    assert (workplace / "pipeline" / "model_index.json").is_file()
