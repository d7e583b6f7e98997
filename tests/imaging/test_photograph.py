"""Reading and writing photographs: samples survive bit for bit, nothing is misread, no file is left half."""

import errno
import struct
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, TiffImagePlugin

from retina_adapt.imaging import (
    ImageReadError,
    ImageWriteError,
    Photograph,
    decode_photograph,
    find_photographs,
    read_photograph,
    write_photograph,
)
from retina_adapt.imaging.lossless_formats import encode_tiff
from retina_adapt.imaging.photograph import search_photographs

ICC_PROFILE = b"a profile that no program here interprets" * 5


def random_photograph(bit_depth: int, channels: int = 3, with_alpha: bool = False, size=(5, 7)) -> Photograph:
    largest = 2**bit_depth - 1
    samples = np.random.default_rng(0).integers(0, largest + 1, (*size, channels + with_alpha))
    scaled = samples.astype(np.float32) / np.float32(largest)
    alpha = scaled[:, :, channels] if with_alpha else None
    return Photograph(scaled[:, :, :channels], bit_depth=bit_depth, alpha=alpha)


def exif_block(**tags) -> bytes:
    exif = Image.Exif()
    exif[271] = "Camera maker"
    exif.get_ifd(0x8769)[36867] = "2020:02:02 20:20:20"
    for tag, value in tags.items():
        exif[int(tag.removeprefix("tag_"))] = value
    return exif.tobytes()


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.sampled_from([1, 3]),
    with_alpha=st.booleans(),
    bit_depth=st.sampled_from([8, 16]),
    suffix=st.sampled_from([".png", ".tif", ".TIFF"]),
)
def test_every_sample_survives_writing_and_reading(
    tmp_path_factory, height, width, channels, with_alpha, bit_depth, suffix
):
    if (channels, with_alpha, bit_depth, suffix.lower()[:4]) == (1, True, 16, ".tif"):
        return  # refused, see below
    written = random_photograph(bit_depth, channels, with_alpha, (height, width))
    path = tmp_path_factory.mktemp("photographs") / f"photo{suffix}"
    write_photograph(written, path)
    read = read_photograph(path)
    np.testing.assert_array_equal(read.pixels, written.pixels)
    assert read.pixels.dtype == np.float32
    assert read.bit_depth == bit_depth
    assert read.source == path
    if with_alpha:
        np.testing.assert_array_equal(read.alpha, written.alpha)
    else:
        assert read.alpha is None


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_all_integer_values_survive_the_float_representation(tmp_path, bit_depth):
    every_value = np.arange(2**bit_depth, dtype=np.float32) / np.float32(2**bit_depth - 1)
    write_photograph(Photograph(every_value.reshape(16, -1, 1), bit_depth=bit_depth), tmp_path / "ramp.png")
    stored = cv2.imread(str(tmp_path / "ramp.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored.ravel(), np.arange(2**bit_depth))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bit_depth", [8, 16])
def test_other_programs_read_what_was_written(tmp_path, suffix, bit_depth):
    photograph = random_photograph(bit_depth)
    write_photograph(photograph, tmp_path / f"photo{suffix}")
    stored = cv2.imread(str(tmp_path / f"photo{suffix}"), cv2.IMREAD_UNCHANGED)[:, :, ::-1]
    np.testing.assert_array_equal(stored, np.rint(photograph.pixels * (2**bit_depth - 1)))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_files_of_other_programs_are_read_exactly(tmp_path, suffix, channels):
    samples = np.random.default_rng(0).integers(0, 65536, (6, 8, channels), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / f"photo{suffix}"), samples[:, :, ::-1])
    read = read_photograph(tmp_path / f"photo{suffix}")
    assert read.bit_depth == 16
    np.testing.assert_array_equal(np.rint(read.pixels * 65535), samples)


def tiff_of(samples, **options) -> bytes:
    """A TIFF file as another program writes it."""
    buffer = BytesIO()
    tifffile.imwrite(buffer, samples, photometric="rgb", metadata=None, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colours_that_were_multiplied_with_alpha_are_read_without_it(dtype):
    largest = np.iinfo(dtype).max
    colors = np.random.default_rng(0).integers(0, largest, (6, 8, 3)) / largest
    alpha = np.array([1.0, 0.5, 0.25, 0.0])[None, :, None].repeat(2, axis=1).repeat(6, axis=0)
    stored = np.concatenate([colors * alpha, alpha], axis=2)
    encoded_alpha = tiff_of((stored * largest).round().astype(dtype), extrasamples=["assocalpha"])
    read = decode_photograph(encoded_alpha, "photo")
    np.testing.assert_allclose(read.alpha[:, :, None], alpha, atol=1 / largest)
    np.testing.assert_allclose(read.pixels[:, :6], colors[:, :6], atol=4 / largest)
    assert not read.pixels[:, 6:].any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_bigtiff_is_read_and_its_description_written(tmp_path, dtype):
    samples = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (6, 8, 3)).astype(dtype)
    read = decode_photograph(tiff_of(samples, bigtiff=True, description="left eye"), "photo.tif")
    np.testing.assert_array_equal(np.rint(read.pixels * np.iinfo(dtype).max), samples)
    for suffix in (".tif", ".png", ".jpg")[: 3 if dtype == np.uint8 else 2]:
        write_photograph(read, tmp_path / f"photo{suffix}")
        with Image.open(tmp_path / f"photo{suffix}") as image:
            assert image.getexif()[270] == "left eye"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_colour_profile_and_exif_travel_along(tmp_path, suffix):
    photograph = random_photograph(8)
    photograph = Photograph(photograph.pixels, icc_profile=ICC_PROFILE, exif=exif_block())
    write_photograph(photograph, tmp_path / f"first{suffix}")
    write_photograph(read_photograph(tmp_path / f"first{suffix}"), tmp_path / f"second{suffix}")
    with Image.open(tmp_path / f"second{suffix}") as image:
        assert image.info["icc_profile"] == ICC_PROFILE
        assert image.getexif()[271] == "Camera maker"
        assert image.getexif().get_ifd(0x8769)[36867] == "2020:02:02 20:20:20"


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_metadata_travel_along_in_16_bit_colour_too(tmp_path, suffix):
    photograph = random_photograph(16)
    photograph = Photograph(photograph.pixels, bit_depth=16, icc_profile=ICC_PROFILE, exif=exif_block())
    write_photograph(photograph, tmp_path / f"photo{suffix}")
    read = read_photograph(tmp_path / f"photo{suffix}")
    assert read.icc_profile == ICC_PROFILE
    assert b"Camera maker" in read.exif


def test_how_a_tiff_file_stored_its_samples_does_not_leak_into_a_jpeg(tmp_path):
    Image.new("RGB", (9, 6)).save(tmp_path / "photo.tif", software="a program")
    write_photograph(read_photograph(tmp_path / "photo.tif"), tmp_path / "photo.jpg")
    assert dict(Image.open(tmp_path / "photo.jpg").getexif()) == {305: "a program"}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_photographs_are_turned_upright_and_stay_so(tmp_path, orientation, suffix):
    stored = Image.fromarray(
        np.kron(np.random.default_rng(0).integers(0, 256, (2, 3, 3)), np.ones((8, 8, 1))).astype("u1")
    )
    path = tmp_path / f"photo{suffix}"
    stored.save(path, exif=exif_block(tag_274=orientation))
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(np.rint(255 * read_photograph(path).pixels), upright)

    write_photograph(read_photograph(path), tmp_path / "again.png")
    again = read_photograph(tmp_path / "again.png")
    np.testing.assert_array_equal(np.rint(255 * again.pixels), upright)
    assert b"Camera maker" in again.exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_photographs_are_turned_upright_as_8_bit_ones_are(tmp_path, orientation, suffix):
    eight = random_photograph(8)
    exif = exif_block(tag_274=orientation)
    sixteen = Photograph(eight.pixels, bit_depth=16, exif=exif)
    write_photograph(Photograph(eight.pixels, exif=exif), tmp_path / f"eight{suffix}")
    write_photograph(sixteen, tmp_path / f"sixteen{suffix}")
    read_eight, read_sixteen = (read_photograph(tmp_path / f"{name}{suffix}") for name in ("eight", "sixteen"))
    np.testing.assert_array_equal(read_eight.pixels, read_sixteen.pixels)
    assert (orientation in (5, 6, 7, 8)) == (read_eight.pixels.shape != eight.pixels.shape)


@pytest.mark.parametrize("with_transparency", [False, True])
def test_a_palette_is_resolved_to_colours(tmp_path, with_transparency):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "palette.png", **({"transparency": 1} if with_transparency else {}))
    read = read_photograph(tmp_path / "palette.png")
    np.testing.assert_array_equal(read.pixels, [[[1, 0, 0], [0, 0, 1]]])
    if with_transparency:
        np.testing.assert_array_equal(read.alpha, [[1, 0]])
    else:
        assert read.alpha is None


def test_a_one_bit_mask_is_read_as_black_and_white(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_photograph(tmp_path / "mask.png").pixels, [[[1], [0]]])


def test_jpeg_is_written_without_chroma_subsampling(tmp_path):
    red_vessel = np.full((16, 16, 3), (0.8, 0.4, 0.2), dtype=np.float32)
    red_vessel[:, 7] = (0.6, 0.1, 0.1)
    write_photograph(Photograph(red_vessel), tmp_path / "photo.jpg")
    np.testing.assert_allclose(read_photograph(tmp_path / "photo.jpg").pixels, red_vessel, atol=0.03)


def test_any_file_name_can_be_read_and_written(tmp_path):
    path = tmp_path / "Auge links – 左眼 😀.tif"
    write_photograph(random_photograph(16), path)
    np.testing.assert_array_equal(read_photograph(path).pixels, random_photograph(16).pixels)


def encoded(format_name: str, image: Image.Image | None = None, **options) -> bytes:
    buffer = BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    (image or Image.fromarray(noise)).save(buffer, format=format_name, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("bit_depth", [8, 16])
def test_a_truncated_photograph_is_an_error(tmp_path, suffix, share, bit_depth):
    if (suffix, bit_depth) == (".jpg", 16):
        return
    path = tmp_path / f"photo{suffix}"
    write_photograph(random_photograph(bit_depth, size=(64, 64)), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ImageReadError, match=r"photo.*(truncated|damaged|not a JPEG)"):
        read_photograph(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"these are words", "not a JPEG, PNG or TIFF"),
        (encoded("BMP"), "not a JPEG, PNG or TIFF"),
        (encoded("TIFF", Image.new("F", (4, 4))), "floating-point"),
        (encoded("TIFF", Image.new("I", (4, 4))), "32"),
        (tiff_of(np.zeros((4, 4, 3), np.float32)), "a TIFF of a kind that is not read"),
        (tiff_of(np.zeros((3, 4, 4), np.uint16), planarconfig="separate"), "plane by plane"),
        (encoded("TIFF", Image.new("LAB", (4, 4))), "CIELAB"),
        (encoded("JPEG", Image.new("CMYK", (4, 4)), icc_profile=ICC_PROFILE), "CMYK"),
        (encoded("JPEG", Image.new("CMYK", (4, 4))).replace(b"Adobe", b"Other"), "CMYK"),
        (encoded("TIFF", Image.new("CMYK", (4, 4))), "CMYK"),
    ],
)
def test_what_is_no_photograph_is_an_error_that_names_file_and_reason(tmp_path, content, reason):
    (tmp_path / "broken.jpg").write_bytes(content)
    with pytest.raises(ImageReadError, match=rf"broken\.jpg.*{reason}"):
        read_photograph(tmp_path / "broken.jpg")


def test_a_cmyk_jpeg_without_profile_has_the_colours_that_it_was_made_from():
    rgb = np.kron(np.random.default_rng(0).integers(0, 256, (3, 4, 3)), np.ones((8, 8, 1))).astype("u1")
    for quality in (75, 95):
        cmyk = encoded("JPEG", Image.fromarray(rgb).convert("CMYK"), quality=quality)
        pixels = decode_photograph(cmyk, "print.jpg").pixels
        np.testing.assert_allclose(pixels, rgb / 255, atol=1.5 / 255)


def test_black_ink_darkens_all_colours_of_a_cmyk_jpeg():
    cyan, magenta, yellow, black = ink = (100, 50, 20, 60)
    cmyk = encoded("JPEG", Image.new("CMYK", (8, 8), ink), quality=100)
    expected = (1 - np.array([cyan, magenta, yellow]) / 255) * (1 - black / 255)
    np.testing.assert_allclose(decode_photograph(cmyk, "print.jpg").pixels[4, 4], expected, atol=1.5 / 255)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_bytes_give_the_photograph_that_their_file_gives(tmp_path, suffix):
    path = tmp_path / f"photo{suffix}"
    write_photograph(Photograph(random_photograph(8).pixels, icc_profile=ICC_PROFILE, exif=exif_block(tag_274=6)), path)
    from_file, from_bytes = read_photograph(path), decode_photograph(path.read_bytes(), "photo")
    np.testing.assert_array_equal(from_bytes.pixels, from_file.pixels)
    assert (from_bytes.icc_profile, from_bytes.exif) == (from_file.icc_profile, from_file.exif)
    assert from_bytes.source is None


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"words", "not a JPEG"), (encoded("PNG")[:-40], "")])
def test_bytes_that_are_no_photograph_are_an_error_under_the_given_name(content, reason):
    with pytest.raises(ImageReadError, match=rf"^row 3 of the table: .*{reason}"):
        decode_photograph(content, "row 3 of the table")


ENCODED_EXAMPLES = [
    encoded("JPEG", exif=exif_block(tag_274=6)),
    encoded("JPEG", progressive=True),
    encoded("PNG", exif=exif_block(tag_274=6)),
    encoded("PNG", Image.fromarray(np.zeros((8, 8), dtype=np.uint16))),
    encoded("TIFF", exif=exif_block(tag_274=6)),
    encoded("TIFF", compression="tiff_lzw"),
    encode_tiff(np.zeros((8, 8, 3), dtype=np.uint16), ICC_PROFILE, exif_block()),
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damages that it reads over
@settings(deadline=None, max_examples=150)
@given(
    example=st.sampled_from(ENCODED_EXAMPLES),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    from_end=st.booleans(),
    kept=st.floats(0.5, 1.5),
)
def test_any_damage_is_read_over_or_an_error_of_ours(example, changes, from_end, kept):
    content = bytearray(example)
    for place, value in changes:
        place %= len(content)
        content[-1 - place if from_end else place] = value
    try:
        photograph = decode_photograph(bytes(content[: int(kept * len(content))]), "damaged")
    except ImageReadError:
        return
    assert np.isfinite(photograph.pixels).all()


def test_a_tiff_file_whose_next_directory_is_empty_is_an_error():
    content = bytearray(encoded("TIFF"))
    (directory,) = struct.unpack_from("<I", content, 4)
    (tag_count,) = struct.unpack_from("<H", content, directory)
    struct.pack_into("<I", content, directory + 2 + 12 * tag_count, len(content))
    with pytest.raises(ImageReadError, match="damaged"):
        decode_photograph(bytes(content) + bytes(6), "photo.tif")


def test_a_missing_photograph_and_a_folder_are_errors(tmp_path):
    with pytest.raises(ImageReadError, match="no such file"):
        read_photograph(tmp_path / "absent.png")
    with pytest.raises(ImageReadError, match="cannot be opened"):
        read_photograph(tmp_path)


def test_a_file_of_several_pictures_is_an_error(tmp_path):
    pages = [Image.new("RGB", (4, 4)), Image.new("RGB", (4, 4))]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ImageReadError, match="2 pictures"):
        read_photograph(tmp_path / "pages.tif")


def test_a_decompression_bomb_is_an_error_before_it_fills_the_memory(tmp_path):
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    )
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(ImageReadError, match="too large"):
        read_photograph(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("photograph", "name", "reason"),
    [
        (random_photograph(16), "photo.jpg", "16 bits"),
        (random_photograph(8, with_alpha=True), "photo.jpg", "alpha"),
        (random_photograph(16, 1, with_alpha=True), "photo.tif", "alpha"),
        (random_photograph(8), "photo.bmp", "unknown suffix"),
        (random_photograph(8), "photo", "unknown suffix"),
        (Photograph(np.full((2, 2, 3), np.nan, dtype=np.float32)), "photo.png", "NaN"),
        (Photograph(np.zeros((2, 2), dtype=np.float32)), "photo.png", "shape"),
        (Photograph(np.zeros((2, 2, 3), dtype=np.float32), bit_depth=12), "photo.png", "bit_depth"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_and_the_file_before_survives(tmp_path, photograph, name, reason):
    (tmp_path / name).write_bytes(b"what was there before")
    with pytest.raises(ImageWriteError, match=rf"{name}.*{reason}"):
        write_photograph(photograph, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"what was there before"


def test_a_picture_too_long_for_jpeg_is_refused_with_the_formats_that_hold_it(tmp_path):
    long = Photograph(np.zeros((1, 65_501, 3), np.float32))
    with pytest.raises(ImageWriteError, match=r"long\.jpg: JPEG cannot hold sides above 65500 pixels.*\.png or \.tif"):
        write_photograph(long, tmp_path / "long.jpg")
    write_photograph(Photograph(long.pixels[:, 1:]), tmp_path / "long.jpg")
    write_photograph(long, tmp_path / "long.png")


def test_a_disk_that_refuses_is_an_error_and_leaves_the_file_before(tmp_path, monkeypatch):
    path = tmp_path / "photo.png"
    write_photograph(random_photograph(8), path)
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full_disk)
    with pytest.raises(ImageWriteError, match=r"photo\.png.*No space left"):
        write_photograph(random_photograph(8, size=(3, 3)), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.png"]
    assert path.read_bytes() == before


def test_photographs_are_found_in_subfolders_in_order(tmp_path):
    for name in ("b.PNG", "a.jpg", "c/d.tiff", ".hidden.jpg", ".trash/e.jpg", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = find_photographs(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a.jpg", "b.PNG", "c/d.tiff"]
    assert find_photographs(tmp_path / "a.jpg") == [tmp_path / "a.jpg"]


def test_linked_folders_are_searched_and_circles_are_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.png").touch()
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "archive")
    (tmp_path / "archive" / "itself").symlink_to(tmp_path / "archive" / "itself")
    assert find_photographs(tmp_path / "archive") == [tmp_path / "archive" / "linked" / "a.png"]


def test_what_cannot_be_reached_is_told_once_each_and_the_rest_is_found(tmp_path):
    for name in ("a.jpg", "ward/b.png", ".hidden/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "2024.03").symlink_to(tmp_path / "unmounted")
    (tmp_path / "ward" / "lost.png").symlink_to("nowhere.png")
    (tmp_path / ".hidden" / "lost.png").symlink_to("nowhere.png")
    found, unreachable = search_photographs(tmp_path)
    assert found == [tmp_path / "a.jpg", tmp_path / "ward" / "b.png"]
    for path, message in zip((tmp_path / "2024.03", tmp_path / "ward" / "lost.png"), unreachable, strict=True):
        assert message.startswith(f"{path}: ")
        assert "mount the disk that this link points to, or remove the link" in message
    # Where none may be missed, among pairs for instance, it is an error.
    with pytest.raises(ImageReadError, match=r"2024\.03: .*\(1 more of this kind\)"):
        find_photographs(tmp_path)


@pytest.mark.parametrize("refused", ["iterdir", "lstat"])
def test_a_folder_that_may_not_be_looked_into_is_told_by_its_own_name(tmp_path, monkeypatch, refused):
    """One that may not be listed, and one that may be, whose entries are unknown; root may look into any."""
    (tmp_path / "locked").mkdir()
    for name in ("a.png", "locked/b.png", "locked/c.png"):
        (tmp_path / name).touch()
    allowed = getattr(Path, refused)

    def refuse(path):
        if tmp_path / "locked" in ((path,) if refused == "iterdir" else path.parents):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return allowed(path)

    monkeypatch.setattr(Path, refused, refuse)
    found, (message,) = search_photographs(tmp_path)
    assert found == [tmp_path / "a.png"]
    assert message.startswith(f"{tmp_path / 'locked'}: cannot be accessed (Permission denied)")
    with pytest.raises(ImageReadError, match="make it readable, or move it away"):
        search_photographs(tmp_path / "locked")


def test_no_photographs_to_find_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(ImageReadError, match="no photograph in this folder"):
        find_photographs(tmp_path)
    with pytest.raises(ImageReadError, match=r"no such file or folder; check the path"):
        find_photographs(tmp_path / "absent")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageReadError, match=f"absent: .*looked for in {tmp_path}"):
        find_photographs("absent")


def test_of_a_camera_file_with_previews_behind_it_the_photograph_is_read(tmp_path):
    photograph, preview = Image.new("RGB", (16, 8), (255, 0, 0)), Image.new("RGB", (8, 4))
    photograph.save(tmp_path / "photo.jpg", format="MPO", save_all=True, append_images=[preview])
    assert read_photograph(tmp_path / "photo.jpg").pixels.shape == (8, 16, 3)


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_a_tiff_file_whose_zero_is_white_is_read_with_zero_as_black(tmp_path, bit_depth):
    photograph = random_photograph(bit_depth, channels=1)
    write_photograph(photograph, tmp_path / "photo.tif")
    black_is_zero, white_is_zero = struct.pack("<HHIH", 262, 3, 1, 1), struct.pack("<HHIH", 262, 3, 1, 0)
    inverted = (tmp_path / "photo.tif").read_bytes().replace(black_is_zero, white_is_zero)
    (tmp_path / "inverted.tif").write_bytes(inverted)
    np.testing.assert_allclose(read_photograph(tmp_path / "inverted.tif").pixels, 1 - photograph.pixels, atol=1e-6)


@pytest.mark.parametrize(
    ("tag", "value"),
    [(271, TiffImagePlugin.IFDRational(1, 3)), (282, "far"), (296, "inches"), (274, "upright")],
    ids=["maker", "resolution", "unit", "orientation"],
)
def test_metadata_of_unexpected_types_spoil_no_picture(tag, value):
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    directory[tag] = value
    directory.tagtype[tag] = 5 if isinstance(value, TiffImagePlugin.IFDRational) else 2
    block = b"Exif\0\0II*\0\x08\0\0\0" + directory.tobytes(8)
    buffer = BytesIO()
    Image.new("RGB", (8, 6), (10, 20, 30)).save(buffer, "PNG", exif=block)
    assert decode_photograph(buffer.getvalue(), "eye.png").pixels.shape == (6, 8, 3)


def test_metadata_that_jpeg_cannot_hold_is_an_error_that_names_the_file(tmp_path):
    exif = Image.Exif()
    exif[270] = "a long description " * 5000
    photograph = Photograph(np.zeros((4, 4, 3), np.float32), exif=exif.tobytes())
    with pytest.raises(ImageWriteError, match=r"eye\.jpg: JPEG cannot hold its metadata"):
        write_photograph(photograph, tmp_path / "eye.jpg")
    write_photograph(photograph, tmp_path / "eye.png")
