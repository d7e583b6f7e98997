"""What the command line says of a mistake: one line on standard error, exit status 2, and no traceback."""

import re
import sys
from pathlib import Path

import pytest

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
