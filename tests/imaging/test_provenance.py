"""What enhanced an image is written into its file and read back from it."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retina_adapt.imaging import Photograph, Provenance, UsedAdaptor, read_photograph, sha256_of, write_photograph
from retina_adapt.imaging.provenance import NAMESPACE, provenance_of_xmp, xmp_packet

RECORD = Provenance(
    software="retina_adapt 0.1.0",
    backbone="nano",
    backbone_fingerprint="b" * 64,
    adaptors=(UsedAdaptor("light", "a" * 64), UsedAdaptor("haze", "c" * 64, 0.5)),
    mode="diffusion",
    steps=4,
    seed=7,
    input_sha256=sha256_of(b"the input"),
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("bit_depth", [8, 16])
def test_it_survives_in_every_format_beside_profile_and_exif(tmp_path, suffix, bit_depth):
    if (suffix, bit_depth) == (".jpg", 16):
        return  # JPEG holds 8 bits
    exif = Image.Exif()
    exif[271] = "Camera maker"
    written = Photograph(
        np.full((9, 8, 3), 0.5, np.float32),
        bit_depth=bit_depth,
        provenance=RECORD,
        icc_profile=b"a profile" * 20,
        exif=exif.tobytes(),
    )
    write_photograph(written, tmp_path / f"photo{suffix}")
    read = read_photograph(tmp_path / f"photo{suffix}")
    assert read.provenance == RECORD
    assert read.icc_profile == written.icc_profile
    with Image.open(tmp_path / f"photo{suffix}") as image:
        assert image.getexif()[271] == "Camera maker"
    write_photograph(read, tmp_path / f"again{suffix}")
    assert read_photograph(tmp_path / f"again{suffix}").provenance == RECORD


def test_other_programs_find_a_sentence_for_readers(tmp_path):
    write_photograph(Photograph(np.zeros((4, 4, 3), np.float32), provenance=RECORD), tmp_path / "photo.png")
    with Image.open(tmp_path / "photo.png") as image:
        packet = image.info["xmp"].decode()
    for part in ("retina_adapt 0.1.0", "haze (cccccccccccc) with weight 0.5", "seed 7", "Not the original"):
        assert part in packet


def test_a_photograph_of_a_camera_has_none(tmp_path):
    write_photograph(Photograph(np.zeros((4, 4, 3), np.float32)), tmp_path / "photo.png")
    assert read_photograph(tmp_path / "photo.png").provenance is None
    assert b"retina" not in (tmp_path / "photo.png").read_bytes()


@settings(deadline=None)
@given(
    name=TEXT.filter(lambda text: not any(unicodedata.category(c) == "Cc" for c in text)),
    weight=st.floats(allow_nan=False, allow_infinity=False),
    turn=st.integers(1, 9),
    seed=st.none() | st.integers(0, 2**40),
)
def test_any_record_survives_its_packet(name, weight, turn, seed):
    record = Provenance(name, name, "0" * 64, (UsedAdaptor(name, "1" * 64, weight, turn),), "fast", None, seed)
    assert provenance_of_xmp(xmp_packet(record)) == record


@settings(deadline=None)
@given(content=st.binary(max_size=300))
def test_any_other_packet_has_none(content):
    assert provenance_of_xmp(content) is None
    assert provenance_of_xmp(NAMESPACE.encode() + content) is None


@pytest.mark.parametrize(
    "change",
    [
        (b'"fast"', b"12"),
        (b'"adaptors"', b'"others"'),
        (b"<x:xmpmeta", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x:xmpmeta"),
        (b"</rdf:RDF>", b""),
        (b'"seed": null', b'"seed": "0"'),
    ],
)
def test_a_packet_that_was_tampered_with_is_no_record(change):
    packet = xmp_packet(Provenance("s", "b", "0" * 64, (), "fast"))
    assert provenance_of_xmp(packet) is not None
    assert change[0] in packet
    assert provenance_of_xmp(packet.replace(*change)) is None


def test_a_document_type_in_another_encoding_is_not_parsed():
    packet = xmp_packet(RECORD).decode().split("?>", 1)[1].replace("retina_adapt 0.1.0", "&software;")
    # Read as UTF-16 the bytes of the namespace are Chinese; as they lie there, they are the namespace.
    hidden = (NAMESPACE.encode() + b" " * (len(NAMESPACE) % 2)).decode("utf-16-be")
    document = f"<!DOCTYPE x [<!ENTITY software 'any'>]><!--{hidden}-->{packet}"
    for begin in ("<?xml version='1.0' encoding='UTF-16BE'?>", "\ufeff<?xml version='1.0' encoding='UTF-16'?>"):
        assert provenance_of_xmp((begin + document).encode("utf-16-be")) is None


@pytest.mark.parametrize("packet", ["a text", 12, (1, 2), None])
def test_a_packet_that_is_no_bytes_has_none(packet):
    assert provenance_of_xmp(packet) is None


def test_the_sentence_says_what_was_asked_for_and_nothing_else():
    sentence = Provenance("s", "b", "0" * 64, (), "fast", detail="tiles", tile_size=128).sentence()
    assert "mode fast, detail tiles, tile size 128; adaptors none" in sentence
