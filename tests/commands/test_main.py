"""What the command line says of a mistake: one line on standard error, exit status 2, and no traceback."""

import re
import sys
from pathlib import Path

import pytest
import torch

from retina_adapt.cli import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("enhance {photographs} {out} --adaptor light --device gpu", r"--device gpu: .* this machine has: cpu"),
        ("enhance {photographs} {file}/out --adaptor light --device cpu", r"file/out: .*name another one"),
        ("degrade {photographs} {file}/out", r"file/out: .*name another one"),
        ("demo {file}/out", r"file/out: .*name another one"),
        # Brackets in a name are no markup.
        ("degrade {photographs} {file}/[b]out[/od]", r"file/\[b\]out\[/od\]: .*name another one"),
        # Nor are words between colons pictures.
        ("degrade {photographs} {file}/a:eye:b", r"file/a:eye:b: .*name another one"),
        ("enhance {photographs} {blocked} --adaptor light --device cpu", r"\.retina_adapt/lock: .*make space"),
        ("degrade {photographs} {blocked}", r"degradations\.json: .*make space"),
        # An error of the system that no command expects.
        ("recipes copy adapt --to {file}/out", r"Not a directory: '.*file/out'; check the path"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    arguments: str, said: str, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    (tmp_path / "file").write_text("in the way")
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / ".retina_adapt").write_text("in the way of the journal")
    (blocked / "degradations.json").mkdir()
    places = {"photographs": drawn, "out": tmp_path / "out", "file": tmp_path / "file", "blocked": blocked}
    monkeypatch.setattr(sys, "argv", ["retina-adapt", *(word.format(**places) for word in arguments.split())])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    # A run that had begun leaves its bar above.
    *above, line = capsys.readouterr().err.splitlines()
    assert not any("Traceback" in other or "rror" in other for other in above)
    assert line.startswith("error: ")
    assert re.search(said, line), line


def ended_with(monkeypatch: pytest.MonkeyPatch, capsys, *words: object) -> list[str]:
    """Lines on standard error of a command that ends with exit status 2."""
    monkeypatch.setattr(sys, "argv", ["retina-adapt", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_a_name_can_neither_forge_a_line_nor_steer_the_terminal(tmp_path: Path, monkeypatch, capsys) -> None:
    name = tmp_path / "half\nfailed: x.jpg \x1b(B"
    (line,) = ended_with(monkeypatch, capsys, "degrade", name, tmp_path / "out")
    assert line.startswith(f"error: {tmp_path}/half\\nfailed: x.jpg \\x1b(B: there is no such file")


def test_the_lines_of_a_list_stay_lines(drawn: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "high").mkdir()
    (drawn / "drawn_0000.png").rename(tmp_path / "high" / "drawn_0000.png")
    first, *others = ended_with(monkeypatch, capsys, "register-pairs", drawn, tmp_path / "high", tmp_path / "out")
    assert "do not pair up" in first
    assert others
    assert all(line.startswith("  ") for line in others)


@pytest.mark.parametrize(
    "raised",
    [
        MemoryError("Unable to allocate 3 GiB"),
        RuntimeError("… can't allocate memory …"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17.00 GB)"),
    ],
)
def test_too_little_memory_is_one_line_too(drawn: Path, tmp_path: Path, monkeypatch, capsys, raised) -> None:
    def draw_too_much(*_: object, **__: object) -> None:
        raise raised

    # What asks for more than the machine has would stop other programs as well.
    monkeypatch.setattr("retina_adapt.commands.draw.draw_photographs", draw_too_much)
    (line,) = ended_with(monkeypatch, capsys, "draw", tmp_path / "out")
    assert re.fullmatch(r"error: not enough memory; close other programs.*--batch-size.*--detail guided", line)
