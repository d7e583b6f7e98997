"""`retina-adapt enhance` over folders: every photograph has its line, whatever the others are like."""

import csv
import dataclasses
import json
import os
import shutil
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from accelerate import Accelerator
from launching import run_program
from PIL import Image, ImageDraw, ImageFilter
from toy_training import in_another_process
from two_processes import on_two_processes
from typer.testing import CliRunner, Result

from retina_adapt.cli import app
from retina_adapt.commands.journal import Journal, PhotographRecord
from retina_adapt.commands.photograph_list import OutputFolderError
from retina_adapt.commands.records import RecordWriteError
from retina_adapt.enhancement import EnhancementInputError
from retina_adapt.imaging import ImageReadError, read_photograph, sha256_of, write_photograph


@pytest.fixture
def enhance(toy_backbone_folder: Path, toy_adaptor_folder: Path, tmp_path: Path):
    """The verb with the toy backbone and adaptor; results go to `out`."""

    def run(*arguments: object, output: Path = tmp_path / "out") -> Result:
        models = ["--backbone", toy_backbone_folder, "--adaptor", toy_adaptor_folder]
        *sources, options = [*arguments, []] if not isinstance(arguments[-1], list) else arguments
        command = ["enhance", *sources, output, *models, "--device", "cpu", *options]
        result = CliRunner().invoke(app, [str(argument) for argument in command])
        if isinstance(result.exception, Exception):
            raise result.exception
        return result

    return run


def summary_of(output: Path) -> dict[str, dict]:
    """The records by the result's path."""
    return {row["output"]: row for row in json.loads((output / "summary.json").read_text())["photographs"]}


def huge_png(path: Path) -> None:
    """A file of 100 bytes that says it holds 40,000 x 40,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_folders_are_searched_and_keep_their_places(enhance, drawn: Path, tmp_path: Path) -> None:
    result = enhance(drawn)
    assert result.exit_code == 0
    for path in drawn.rglob("*.png"):
        enhanced = read_photograph(tmp_path / "out" / path.relative_to(drawn))
        assert enhanced.pixels.shape == read_photograph(path).pixels.shape
        assert not np.array_equal(enhanced.pixels, read_photograph(path).pixels)
    assert {row["status"] for row in summary_of(tmp_path / "out").values()} == {"enhanced"}
    with (tmp_path / "out" / "summary.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 4


def test_patterns_and_several_sources(enhance, drawn: Path, tmp_path: Path) -> None:
    enhance(drawn / "**" / "*0002.png", drawn / "drawn_0000.png")
    assert set(summary_of(tmp_path / "out")) == {"second visit/drawn_0002.png", "drawn_0000.png"}


def test_sources_that_would_share_a_result_or_match_nothing_are_errors(enhance, drawn: Path) -> None:
    (drawn / "second visit" / "drawn_0000.png").write_bytes((drawn / "drawn_0000.png").read_bytes())
    with pytest.raises(OutputFolderError, match="would both be written"):
        enhance(drawn / "drawn_0000.png", drawn / "second visit" / "drawn_0000.png")
    with pytest.raises(ImageReadError, match="no file matches"):
        enhance(drawn / "*.tiff")


def test_each_file_that_is_no_fundus_photograph_has_one_clear_line_and_stops_nothing(
    enhance, drawn: Path, tmp_path: Path
) -> None:
    (drawn / "broken.png").write_bytes(b"no picture")
    whole = (drawn / "drawn_0000.png").read_bytes()
    (drawn / "cut.png").write_bytes(whole[: len(whole) // 2])
    (drawn / "empty.jpg").write_bytes(b"")
    huge_png(drawn / "huge.png")
    Image.new("RGB", (90, 90)).save(drawn / "black.png")
    sky = np.full((90, 120, 3), (90, 140, 220), np.uint8) - np.arange(90, dtype=np.uint8)[:, None, None] // 2
    Image.fromarray(sky).save(drawn / "sky.png")
    result = enhance(drawn)
    assert result.exit_code == 1
    lines = [line for line in result.output.splitlines() if line.startswith("failed: ")]
    for name, said in {
        "broken.png": "not a JPEG, PNG or TIFF",
        "cut.png": "truncated or damaged",
        "empty.jpg": "the file is empty",
        "huge.png": "too large",
        "black.png": "black or without any contrast",
        "sky.png": "does not look like a fundus",
    }.items():
        (line,) = (line for line in lines if name in line)
        assert said in line
        assert not (tmp_path / "out" / name).exists()
    assert len(lines) == 6
    statuses = [row["status"] for row in summary_of(tmp_path / "out").values()]
    assert (statuses.count("enhanced"), statuses.count("failed")) == (4, 6)


def test_all_failed_has_a_status_of_its_own(enhance, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert enhance(tmp_path / "broken.png").exit_code == 3


def test_a_picture_that_is_named_full_frame_is_enhanced_whatever_its_colours(enhance, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)
    noise[..., 0] //= 2
    Image.fromarray(noise).save(tmp_path / "smear.png")
    assert enhance(tmp_path / "smear.png").exit_code == 3
    assert enhance(tmp_path / "smear.png", ["--field-of-view", "full_frame"]).exit_code == 0


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_page_of_text_is_no_photograph(enhance, tmp_path: Path, mode: str) -> None:
    page = Image.new(mode, (300, 200), "white")
    ImageDraw.Draw(page).multiline_text((20, 20), "Right eye: clear\nLeft eye: hazy, see photograph", fill="black")
    page.save(tmp_path / "letter.png")
    result = enhance(tmp_path / "letter.png")
    assert result.exit_code == 3
    assert "most of it is white" in result.output.replace("\n", " ")


def times(output: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in output.rglob("*.png")}


def test_the_same_command_resumes_and_another_does_not(enhance, drawn: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    (drawn / "later.png").write_bytes(b"no picture")
    assert enhance(drawn).exit_code == 1
    first = times(output)
    (drawn / "later.png").write_bytes((drawn / "drawn_0000.png").read_bytes())
    (output / "drawn_0001.png").unlink()
    result = enhance(drawn)
    assert result.exit_code == 0
    assert "3 were done before" in result.output
    again = times(output)
    changed = {Path(path).name for path in again if again[path] != first.get(path)}
    assert changed == {"later.png", "drawn_0001.png"}
    assert {row["status"] for row in summary_of(output).values()} == {"enhanced"}
    assert enhance(drawn, ["--batch-size", "2"]).exit_code == 0
    assert times(output) == again
    # Other settings, another photograph under the same name, or the wish to: all are made anew.
    enhance(drawn, ["--detail", "kept"])
    assert not set(times(output).items()) & set(again.items())
    before = times(output)
    enhance(drawn, ["--detail", "kept", "--overwrite"])
    assert not set(times(output).items()) & set(before.items())


def test_a_result_that_was_cut_off_since_is_made_anew_and_no_other(enhance, drawn: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    enhance(drawn)
    first, whole = times(output), (output / "drawn_0001.png").read_bytes()
    (output / "drawn_0001.png").write_bytes(whole[: len(whole) // 2])
    enhance(drawn)
    assert (output / "drawn_0001.png").read_bytes() == whole
    again = times(output)
    assert {Path(path).name for path in again if again[path] != first[path]} == {"drawn_0001.png"}


def test_a_corrected_mask_makes_its_photograph_anew_and_no_other(enhance, drawn: Path, tmp_path: Path) -> None:
    output, masks = tmp_path / "out", tmp_path / "masks"
    masks.mkdir()
    (drawn / "drawn_0000.png").rename(drawn / "left [1].png")
    whole = Image.new("L", (112, 112), 255)
    for path in drawn.rglob("*.png"):
        whole.save(masks / path.name)
    assert enhance(drawn, ["--masks", masks]).exit_code == 0
    first = times(output)
    assert "4 were done before" in enhance(drawn, ["--masks", masks]).output
    corrected = Image.new("L", (112, 112), 0)
    corrected.paste(255, (20, 20, 90, 90))
    corrected.save(masks / "left [1].png")
    assert enhance(drawn, ["--masks", masks]).exit_code == 0
    again = times(output)
    assert {Path(path).name for path in again if again[path] != first[path]} == {"left [1].png"}


def test_one_mask_is_not_taken_for_two_photographs_of_one_name(enhance, drawn: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    (masks / "second visit").mkdir(parents=True)
    for path in drawn.glob("*.png"):
        (drawn / "second visit" / path.name).write_bytes(path.read_bytes())
    whole = Image.new("L", (112, 112), 255)
    for number in range(4):
        whole.save(masks / f"drawn_{number:04d}.png")
    # What is no picture is no mask.
    (masks / "drawn_0000.json").write_text("{}")
    with pytest.raises(
        EnhancementInputError, match=r"masks/drawn_000[01]\.png: is it the mask of .* or of .*subfolders"
    ):
        enhance(drawn, ["--masks", masks])
    assert not (tmp_path / "out").exists()
    for path in drawn.glob("*.png"):
        whole.save(masks / "second visit" / path.name)
    assert enhance(drawn, ["--masks", masks]).exit_code == 0


def test_a_missing_mask_fails_its_photograph_alone(enhance, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    Image.new("L", (112, 112), 255).save(tmp_path / "masks" / "drawn_0001.png")
    result = enhance(drawn / "drawn_0000.png", drawn / "drawn_0001.png", ["--masks", tmp_path / "masks"])
    assert result.exit_code == 1
    assert "masks/drawn_0000.png: there is no such file" in result.output
    assert (tmp_path / "out" / "drawn_0001.png").is_file()


def test_a_full_disk_ends_the_run_with_the_journals_name_and_what_to_do(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0)
    journal.path.parent.mkdir()
    journal.path.symlink_to("/dev/full")
    with pytest.raises(RecordWriteError, match=r"journal-00000\.jsonl: .*No space left.*make space"):
        journal.append(PhotographRecord("eye.png", "eye.png", "light", "enhanced"))


def test_a_doubt_about_a_result_stays_when_the_run_is_repeated(enhance, drawn: Path, tmp_path: Path) -> None:
    Image.open(drawn / "drawn_0000.png").crop((30, 30, 80, 80)).save(tmp_path / "part.png")
    first, second = (enhance(tmp_path / "part.png") for _ in range(2))
    assert "1 were done before" in second.output
    for result in (first, second):
        assert "no round field of view found" in result.output.replace("\n", " ")
    assert "no round field of view found" in summary_of(tmp_path / "out")["part.png"]["message"]


def test_twelve_bits_of_a_camera_in_a_16_bit_file_are_told(enhance, drawn: Path, tmp_path: Path) -> None:
    photograph = read_photograph(drawn / "drawn_0000.png")
    for name, scale in (("twelve", 1 / 16), ("sixteen", 1)):
        pixels = (photograph.pixels * np.float32(scale)).clip(0, 4095 / 65535 if scale < 1 else 1)
        write_photograph(dataclasses.replace(photograph, pixels=pixels, bit_depth=16), tmp_path / f"{name}.tif")
    result = enhance(tmp_path / "twelve.tif", tmp_path / "sixteen.tif")
    assert result.exit_code == 0
    records = summary_of(tmp_path / "out")
    assert "as if 12-bit values were stored in 16 bits" in records["twelve.tif"]["message"]
    assert records["sixteen.tif"]["message"] == ""


def test_leaving_all_results_and_none_of_them_is_a_mistake(enhance, drawn: Path) -> None:
    with pytest.raises(EnhancementInputError, match=r"--skip-existing .* --overwrite"):
        enhance(drawn, ["--skip-existing", "--overwrite"])


def test_skip_existing_leaves_what_is_there(enhance, drawn: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "drawn_0000.png").write_bytes(b"mine")
    enhance(drawn, ["--skip-existing"])
    assert (output / "drawn_0000.png").read_bytes() == b"mine"
    assert summary_of(output)["drawn_0000.png"]["status"] == "skipped"
    assert summary_of(output)["drawn_0001.png"]["status"] == "enhanced"


def test_skip_existing_says_nothing_of_another_photograph(enhance, drawn: Path, tmp_path: Path) -> None:
    for folder, name in (("left", "drawn_0000.png"), ("right", "drawn_0001.png")):
        (tmp_path / folder).mkdir()
        shutil.copy(drawn / name, tmp_path / folder / "eye.png")
    enhance(tmp_path / "left")
    enhance(tmp_path / "right", ["--skip-existing"])
    record = summary_of(tmp_path / "out")["eye.png"]
    assert (record["photograph"], record["status"]) == (str(tmp_path / "right" / "eye.png"), "skipped")
    assert record["input_sha256"] != sha256_of((tmp_path / "left" / "eye.png").read_bytes())


def test_what_is_no_result_is_never_overwritten_unasked(enhance, drawn: Path, tmp_path: Path) -> None:
    """The clear photographs of pairs, for instance, where a folder of results was to be named."""
    output = tmp_path / "out"
    shutil.copytree(drawn, output)
    write_photograph(dataclasses.replace(read_photograph(drawn / "drawn_0001.png")), drawn / "drawn_0000.png")
    with pytest.raises(OutputFolderError, match=r"drawn_0000\.png: is there already.*--skip-existing.*--overwrite"):
        enhance(drawn)
    shutil.copy(output / "drawn_0000.png", drawn / "drawn_0000.png")
    assert enhance(drawn, ["--overwrite"]).exit_code == 0


def test_results_whose_journal_was_lost_are_made_anew_but_not_of_other_photographs(
    enhance, drawn: Path, tmp_path: Path
) -> None:
    enhance(drawn)
    shutil.rmtree(tmp_path / "out" / ".retina_adapt")
    assert enhance(drawn).exit_code == 0
    shutil.rmtree(tmp_path / "out" / ".retina_adapt")
    shutil.copy(drawn / "drawn_0001.png", drawn / "drawn_0000.png")
    with pytest.raises(OutputFolderError, match=r"drawn_0000\.png: is there already"):
        enhance(drawn)


def test_a_mended_photograph_is_enhanced_where_an_earlier_result_lies(enhance, drawn: Path, tmp_path: Path) -> None:
    path = drawn / "drawn_0000.png"
    content = path.read_bytes()
    enhance(path)
    path.write_bytes(b"no picture")
    assert enhance(path).exit_code == 3
    path.write_bytes(content)
    assert enhance(path).exit_code == 0
    assert summary_of(tmp_path / "out")["drawn_0000.png"]["status"] == "enhanced"


def test_masks_may_lie_among_the_photographs(enhance, drawn: Path, tmp_path: Path) -> None:
    (drawn / "masks").mkdir()
    for path in drawn.rglob("*.png"):
        Image.new("L", (112, 112), 255).save(drawn / "masks" / path.name)
    assert enhance(drawn, ["--masks", drawn / "masks"]).exit_code == 0
    assert len(summary_of(tmp_path / "out")) == 4
    # Masks may lie above the photographs, too.
    for path in list((drawn / "masks").iterdir()):
        path.rename(tmp_path / path.name)
    assert enhance(drawn, ["--masks", tmp_path], output=tmp_path / "out2").exit_code == 0


def test_each_doubt_about_a_photograph_is_told(enhance, drawn: Path, tmp_path: Path) -> None:
    photograph = read_photograph(drawn / "drawn_0000.png")
    grey = photograph.pixels.mean(axis=2, keepdims=True) / 16
    write_photograph(dataclasses.replace(photograph, pixels=grey, bit_depth=16), tmp_path / "eye.tif")
    told = flat(enhance(tmp_path / "eye.tif"))
    assert "eye.tif: is grey" in told
    assert "12-bit values were stored in 16 bits" in told


def test_hidden_folders_are_no_business_of_ours(enhance, drawn: Path) -> None:
    (drawn / ".thumbnails").mkdir()
    (drawn / ".thumbnails" / "eye.webp").write_bytes(b"of the web")
    assert "left alone" not in flat(enhance(drawn))


def test_json_goes_to_standard_output_and_quiet_says_nothing(enhance, drawn: Path) -> None:
    result = enhance(drawn, ["--json", "--quiet"])
    assert json.loads(result.stdout)["counts"]["enhanced"] == 4
    assert result.stderr == ""


@pytest.mark.slow
def test_two_processes_share_the_photographs_and_take_up_what_a_lost_one_left(
    drawn: Path, enhance, toy_backbone_folder: Path, toy_adaptor_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    (drawn / "broken.png").write_bytes(b"no picture")
    # Another test may be using the launcher's own port at the same time.
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
    models = ["--backbone", toy_backbone_folder, "--adaptor", toy_adaptor_folder]
    done = run_program(
        [sys.executable, *launcher, "-m", "retina_adapt", "enhance", drawn, output, *models, "--device", "cpu"],
        {"ACCELERATE_USE_CPU": "true"},
    )
    assert "broken.png" in done.stderr, done.stderr
    assert done.returncode == 1
    journals = sorted((output / ".retina_adapt").glob("*.jsonl"))
    assert [len(path.read_text().splitlines()) for path in journals] == [3, 2]
    assert len(summary_of(output)) == 5
    # As if the second process had been lost with all that it had done, and half a line of it left.
    for line in journals[1].read_text().splitlines():
        (output / json.loads(line)["output"]).unlink(missing_ok=True)
    journals[1].write_text(journals[1].read_text()[:40])
    (drawn / "broken.png").unlink()
    before = times(output)

    def enhance_again(accelerator: Accelerator) -> None:
        assert enhance(drawn).exit_code == 0

    # Forked, for the launcher's processes spend most of their time importing.
    on_two_processes(enhance_again, tmp_path)
    assert {row["status"] for row in summary_of(output).values()} == {"enhanced"}
    assert len(summary_of(output)) == 4
    assert before.items() <= times(output).items()


@pytest.mark.slow
def test_a_killed_run_leaves_no_half_file_and_is_resumed(drawn: Path, enhance, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = in_another_process(lambda: enhance(drawn))
    while process.is_alive() and not any(output.glob("**/*.png")):
        time.sleep(0.001)
    process.kill()
    process.join()
    for path in output.rglob("[!.]*.png"):
        read_photograph(path)
    assert enhance(drawn).exit_code == 0
    assert len(summary_of(output)) == 4


def test_results_beside_all_of_the_photographs_are_refused(enhance, drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputFolderError, match=r"all photographs of .* lie in it"):
        enhance(drawn, output=tmp_path)


def test_another_photograph_of_the_same_name_neither_passes_for_done_nor_is_lost(
    enhance, drawn: Path, tmp_path: Path
) -> None:
    """As of a camera whose files are all of one size, from an archive that gave them one time."""
    left, right, output = tmp_path / "left", tmp_path / "right", tmp_path / "out"
    for folder, name in ((left, "drawn_0000.png"), (right, "drawn_0001.png")):
        folder.mkdir()
        samples = np.asarray(Image.open(drawn / name))
        Image.fromarray(samples).save(folder / "eye.tif")
        os.utime(folder / "eye.tif", (1e9, 1e9))
    assert (left / "eye.tif").stat().st_size == (right / "eye.tif").stat().st_size
    assert enhance(left).exit_code == 0
    made = (output / "eye.tif").read_bytes()
    with pytest.raises(OutputFolderError, match=r"left.*would be overwritten.*right.*another output folder"):
        enhance(right)
    assert (output / "eye.tif").read_bytes() == made
    assert enhance(right, ["--overwrite"]).exit_code == 0
    assert (output / "eye.tif").read_bytes() != made


def test_an_archive_that_was_moved_is_known_by_what_its_files_hold(enhance, drawn: Path, tmp_path: Path) -> None:
    assert enhance(drawn).exit_code == 0
    before = times(tmp_path / "out")
    drawn.rename(tmp_path / "moved")
    assert "4 were done before" in enhance(tmp_path / "moved").output
    assert times(tmp_path / "out") == before


def test_what_one_adaptor_has_made_is_kept_where_another_fails(
    drawn: Path, toy_backbone_folder: Path, toy_adaptor_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "second").write_bytes(b"a file where the results' folder should be")
    command = ["enhance", drawn / "drawn_0000.png", output, "--backbone", toy_backbone_folder, "--device", "cpu"]
    command += ["--adaptor", f"first={toy_adaptor_folder}", "--adaptor", f"second={toy_adaptor_folder}"]
    result = CliRunner().invoke(app, [str(argument) for argument in command])
    assert result.exit_code == 1
    statuses = {path: row["status"] for path, row in summary_of(output).items()}
    assert statuses == {"first/drawn_0000.png": "enhanced", "second/drawn_0000.png": "failed"}
    made = (output / "first" / "drawn_0000.png").stat().st_mtime_ns
    (output / "second").unlink()
    assert CliRunner().invoke(app, [str(argument) for argument in command]).exit_code == 0
    assert (output / "first" / "drawn_0000.png").stat().st_mtime_ns == made


def test_a_mask_of_jpeg_marks_no_more_than_it_was_drawn_with(enhance, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    mask = Image.new("L", (112, 112), 0)
    ImageDraw.Draw(mask).ellipse((30, 30, 80, 80), fill=255)
    mask.save(tmp_path / "masks" / "drawn_0000.jpg", quality=60)
    assert enhance(drawn / "drawn_0000.png", ["--masks", tmp_path / "masks"]).exit_code == 0
    before, after = (read_photograph(folder / "drawn_0000.png").pixels for folder in (drawn, tmp_path / "out"))
    changed = (before != after).any(axis=2)
    assert changed.any()
    beside = np.asarray(mask.resize((112, 112)).filter(ImageFilter.MaxFilter(3))) == 0
    assert not changed[beside].any()


def test_results_of_an_earlier_run_are_no_photographs(enhance, drawn: Path, tmp_path: Path) -> None:
    enhance(drawn, output=drawn / "first")
    result = enhance(drawn, output=drawn / "second")
    assert set(summary_of(drawn / "second")) == set(summary_of(drawn / "first"))
    assert f"{drawn / 'first'}: left alone, because results of an earlier run lie there" in flat(result)
    enhance(drawn / "**" / "*.png", output=drawn / "third")
    assert set(summary_of(drawn / "third")) == set(summary_of(drawn / "first"))
    (tmp_path / "only").mkdir()
    (drawn / "first").rename(tmp_path / "only" / "first")
    with pytest.raises(OutputFolderError, match="nothing but results of an earlier run"):
        enhance(tmp_path / "only")
    (tmp_path / "only" / "first").rename(drawn / "first")
    # By their own folder they are taken, and told.
    result = enhance(drawn / "first")
    assert "drawn_0000.png: is itself a result of enhancement" in flat(result)
    assert len(summary_of(tmp_path / "out")) == 4


def test_overlapping_sources_give_one_result_of_each_photograph(enhance, drawn: Path, tmp_path: Path) -> None:
    enhance(drawn, drawn / "second visit", drawn / "drawn_0000.png")
    assert len(summary_of(tmp_path / "out")) == 4


def test_results_that_another_command_replaces_are_told(enhance, drawn: Path) -> None:
    enhance(drawn)
    assert "replaced results of an earlier run (4)" in flat(enhance(drawn, ["--detail", "kept"]))
    assert "replaced" not in flat(enhance(drawn, ["--detail", "kept"]))
    assert "replaced" not in flat(enhance(drawn, ["--overwrite"]))
    relative = os.path.relpath(drawn)
    assert "replaced results of an earlier run (4)" in flat(enhance(relative, ["--detail", "guided"]))


def test_a_grey_photograph_is_doubtful(enhance, drawn: Path, tmp_path: Path) -> None:
    Image.open(drawn / "drawn_0000.png").convert("L").save(tmp_path / "red-free.png")
    assert "red-free.png: is grey" in flat(enhance(tmp_path / "red-free.png"))


def flat(result: Result) -> str:
    """What a command printed, without the line breaks of a narrow terminal."""
    return " ".join(result.output.split())
