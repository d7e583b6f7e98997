"""DICOM photographs are read as they are; what is written is a derived image that nobody takes for the original."""

import dataclasses
import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retina_adapt.imaging import (
    ImageReadError,
    ImageWriteError,
    Photograph,
    Provenance,
    UsedAdaptor,
    decode_photograph,
    find_photographs,
    read_photograph,
    write_photograph,
)

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed: pip install '.[dicom]'")

OPHTHALMIC_8_BIT, OPHTHALMIC_16_BIT = "1.2.840.10008.5.1.4.1.1.77.1.5.1", "1.2.840.10008.5.1.4.1.1.77.1.5.2"
RECORD = Provenance("retina_adapt 0.1.0", "nano", "b" * 64, (UsedAdaptor("light", "a" * 64),), "fast")


def dicom_object(samples: np.ndarray, *, bits: int | None = None, photometric: str | None = None) -> pydicom.Dataset:
    """An ophthalmic photograph of `samples` (H, W) or (H, W, 3), uint8 or uint16."""
    channels = 1 if samples.ndim == 2 else 3
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = OPHTHALMIC_8_BIT if samples.itemsize == 1 else OPHTHALMIC_16_BIT
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID, dataset.StudyInstanceUID = "1.2.3.1", "1.2.3.2", "1.2.3.3"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName, dataset.PatientID = "Müller^Änne", "77"
    dataset.Manufacturer, dataset.Modality = "Camera maker", "OP"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "", "COLOR"]
    dataset.SeriesDescription = "Fundus"
    dataset.ImageLaterality, dataset.NumberOfFrames = "R", 1
    dataset.ICCProfile = b"a profile " * 10
    dataset.Rows, dataset.Columns = samples.shape[:2]
    dataset.SamplesPerPixel = channels
    dataset.PhotometricInterpretation = photometric or ("RGB" if channels == 3 else "MONOCHROME2")
    if channels == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8 * samples.itemsize
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    content = samples.tobytes()
    dataset.add_new("PixelData", "OB" if samples.itemsize == 1 else "OW", content + b"\0" * (len(content) % 2))
    return dataset


def encoded(dataset: pydicom.Dataset) -> bytes:
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def random_samples(bits: int = 8, channels: int = 3) -> np.ndarray:
    dtype, shape = np.uint8 if bits <= 8 else np.uint16, (7, 5) if channels == 1 else (7, 5, 3)
    return np.random.default_rng(0).integers(0, 2**bits, shape).astype(dtype)


def original_at(folder: Path, **options) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "eye.dcm").write_bytes(encoded(dicom_object(random_samples(), **options)))
    return folder / "eye.dcm"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_every_sample_survives_reading_and_writing(tmp_path, bits, channels):
    samples = random_samples(bits, channels)
    (tmp_path / "eye.dcm").write_bytes(encoded(dicom_object(samples, bits=bits)))
    read = read_photograph(tmp_path / "eye.dcm")
    np.testing.assert_array_equal(np.rint(read.pixels * (2**bits - 1)), samples.reshape(7, 5, channels))
    assert read.bit_depth == (8 if bits == 8 else 16)
    write_photograph(read, tmp_path / "derived.dcm")
    derived = pydicom.dcmread(tmp_path / "derived.dcm")
    np.testing.assert_array_equal(derived.pixel_array, samples)
    assert (derived.BitsStored, derived.HighBit) == (bits, bits - 1)


def test_a_derived_image_has_uids_of_its_own_and_names_its_original(tmp_path):
    path = original_at(tmp_path)
    photograph = read_photograph(path)
    write_photograph(Photograph(**{**photograph.__dict__, "provenance": RECORD}), tmp_path / "derived.dcm")
    derived = pydicom.dcmread(tmp_path / "derived.dcm")
    assert derived.SOPInstanceUID != "1.2.3.1"
    assert derived.SOPInstanceUID == derived.file_meta.MediaStorageSOPInstanceUID
    assert derived.SeriesInstanceUID not in ("1.2.3.2", derived.SOPInstanceUID)
    assert all(uid.is_valid for uid in (derived.SOPInstanceUID, derived.SeriesInstanceUID))
    assert derived.StudyInstanceUID == "1.2.3.3"
    assert list(derived.ImageType) == ["DERIVED", "PRIMARY", "", "COLOR"]
    assert derived.DerivationDescription == RECORD.sentence()
    source = derived.SourceImageSequence[0]
    assert (source.ReferencedSOPInstanceUID, source.ReferencedSOPClassUID) == ("1.2.3.1", OPHTHALMIC_8_BIT)
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert derived.ContributingEquipmentSequence[-1].Manufacturer == "retina_adapt"
    assert derived.SeriesDescription == "Fundus enhanced"


def test_patient_camera_and_profile_travel_along_and_provenance_comes_back(tmp_path):
    photograph = read_photograph(original_at(tmp_path))
    assert photograph.icc_profile == b"a profile " * 10
    write_photograph(Photograph(**{**photograph.__dict__, "provenance": RECORD}), tmp_path / "derived.dcm")
    derived = pydicom.dcmread(tmp_path / "derived.dcm")
    assert derived.PatientName == "Müller^Änne"
    assert (derived.PatientID, derived.ImageLaterality, derived.Manufacturer) == ("77", "R", "Camera maker")
    again = read_photograph(tmp_path / "derived.dcm")
    assert again.provenance == RECORD
    assert again.icc_profile == photograph.icc_profile


def test_a_name_beyond_the_objects_characters_is_escaped(tmp_path):
    record = Provenance("s", "nano", "b" * 64, (UsedAdaptor("清晰", "a" * 64),), "fast")
    photograph = read_photograph(original_at(tmp_path))
    write_photograph(Photograph(**{**photograph.__dict__, "provenance": record}), tmp_path / "derived.dcm")
    derived = pydicom.dcmread(tmp_path / "derived.dcm")
    assert "\\u6e05\\u6670" in derived.DerivationDescription
    assert read_photograph(tmp_path / "derived.dcm").provenance == record


def test_images_enhanced_in_one_way_share_a_series_and_no_instance(tmp_path):
    photograph = read_photograph(original_at(tmp_path))
    written = []
    for number, name in enumerate(("light", "light", "haze")):
        record = Provenance("s", "nano", "b" * 64, (UsedAdaptor(name, "a" * 64),), "fast")
        write_photograph(Photograph(**{**photograph.__dict__, "provenance": record}), tmp_path / f"{number}.dcm")
        written.append(pydicom.dcmread(tmp_path / f"{number}.dcm"))
    assert written[0].SeriesInstanceUID == written[1].SeriesInstanceUID != written[2].SeriesInstanceUID
    assert len({dataset.SOPInstanceUID for dataset in written}) == 3


def test_the_original_is_never_overwritten_nor_a_copy_of_it(tmp_path):
    path = original_at(tmp_path)
    before = path.read_bytes()
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(before)
    for target in (path, copy):
        with pytest.raises(ImageWriteError, match="never overwritten"):
            write_photograph(read_photograph(path), target)
        assert target.read_bytes() == before
    write_photograph(read_photograph(path), tmp_path / "derived.dcm")
    write_photograph(read_photograph(path), tmp_path / "derived.dcm")  # an earlier result may be


def test_a_photograph_that_belongs_to_no_study_is_not_made_dicom(tmp_path):
    with pytest.raises(ImageWriteError, match=r"eye\.dcm.*patient's study.*\.png"):
        write_photograph(Photograph(np.zeros((4, 4, 3), np.float32)), tmp_path / "eye.dcm")
    assert not (tmp_path / "eye.dcm").exists()


def test_a_png_of_a_dicom_photograph_does_not_name_the_patient(tmp_path):
    write_photograph(read_photograph(original_at(tmp_path)), tmp_path / "eye.png")
    content = (tmp_path / "eye.png").read_bytes()
    assert b"ller" not in content
    assert b"1.2.3" not in content


def test_inverted_grey_is_read_with_zero_as_black_and_written_so(tmp_path):
    samples = random_samples(channels=1)
    (tmp_path / "eye.dcm").write_bytes(encoded(dicom_object(samples, photometric="MONOCHROME1")))
    read = read_photograph(tmp_path / "eye.dcm")
    np.testing.assert_allclose(read.pixels[:, :, 0], 1 - samples / 255, atol=1e-6)
    write_photograph(read, tmp_path / "derived.dcm")
    derived = pydicom.dcmread(tmp_path / "derived.dcm")
    assert derived.PhotometricInterpretation == "MONOCHROME2"
    np.testing.assert_array_equal(derived.pixel_array, 255 - samples)


def test_jpeg_compressed_objects_are_read_in_their_colours_and_stay_marked_as_lossy(tmp_path):
    from PIL import Image

    samples = np.kron(np.uint8([[[200, 80, 40], [120, 30, 20]]]), np.ones((16, 16, 1), np.uint8))
    buffer = BytesIO()
    Image.fromarray(samples).save(buffer, "JPEG", quality=95)
    dataset = dicom_object(samples, photometric="YBR_FULL_422")
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    dataset.PixelData = pydicom.encaps.encapsulate([buffer.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    (tmp_path / "eye.dcm").write_bytes(encoded(dataset))
    read = read_photograph(tmp_path / "eye.dcm")
    np.testing.assert_allclose(read.pixels, samples / 255, atol=0.05)
    write_photograph(read, tmp_path / "derived.dcm")
    derived = pydicom.dcmread(tmp_path / "derived.dcm")
    assert derived.LossyImageCompression == "01"
    assert (derived.PhotometricInterpretation, derived.file_meta.TransferSyntaxUID) == ("RGB", "1.2.840.10008.1.2.1")


def changed(**values) -> bytes:
    dataset = dicom_object(random_samples())
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return encoded(dataset)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (changed(NumberOfFrames=4), "4 frames"),
        (changed(PhotometricInterpretation="PALETTE COLOR"), "PALETTE COLOR"),
        (changed(PixelRepresentation=1), "unsigned"),
        (changed(Rows=60000, Columns=60000), "too large"),
        (changed()[:-20], "damaged"),
        (changed()[:140], "damaged|no picture"),
    ],
)
def test_what_is_no_photograph_is_an_error_that_names_file_and_reason(tmp_path, content, reason):
    (tmp_path / "eye.dcm").write_bytes(content)
    with pytest.raises(ImageReadError, match=rf"eye\.dcm.*({reason})"):
        read_photograph(tmp_path / "eye.dcm")


@pytest.mark.parametrize("keyword", ["BitsStored", "PhotometricInterpretation", "PixelRepresentation", "Rows"])
def test_an_object_that_does_not_say_what_its_samples_mean_is_an_error_that_names_what_is_missing(keyword):
    dataset = dicom_object(random_samples())
    delattr(dataset, keyword)
    with pytest.raises(
        ImageReadError, match=rf"^report: .*does not state {keyword}, .*export it again from the system"
    ):
        decode_photograph(encoded(dataset), "report")


@pytest.mark.parametrize("has_meta", [True, False])
def test_an_object_without_the_beginning_of_its_file_is_called_what_it_is(has_meta):
    dataset = dicom_object(random_samples())
    if not has_meta:
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True)
    with pytest.raises(ImageReadError, match=r"^eye\.dcm: looks like a DICOM object without the beginning"):
        decode_photograph(buffer.getvalue(), "eye.dcm")


def test_an_object_without_a_picture_is_an_error():
    dataset = dicom_object(random_samples())
    del dataset.PixelData
    with pytest.raises(ImageReadError, match="no picture"):
        decode_photograph(encoded(dataset), "report")


def test_without_pydicom_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    content = changed()
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImageReadError, match=r"\.\[dicom\]"):
        decode_photograph(content, "eye.dcm")


def test_objects_are_found_in_folders(tmp_path):
    path = original_at(tmp_path / "study")
    assert find_photographs(tmp_path / "study") == [path]


EXAMPLES = [changed(), encoded(dicom_object(random_samples(12, 1), bits=12))]


@settings(deadline=None, max_examples=100)
@given(
    example=st.sampled_from(EXAMPLES),
    changes=st.lists(st.tuples(st.integers(128, 1500), st.integers(0, 255)), max_size=6),
    kept=st.floats(0.3, 1.0),
)
def test_any_damage_is_read_over_or_an_error_of_ours(example, changes, kept):
    content = bytearray(example)
    for place, value in changes:
        content[place % len(content)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            photograph = decode_photograph(bytes(content[: int(kept * len(content))]), "damaged")
        except ImageReadError:
            return
    assert np.isfinite(photograph.pixels).all()


def test_images_enhanced_with_other_settings_are_another_series(tmp_path):
    photograph = read_photograph(original_at(tmp_path))
    series = set()
    for detail in ("fine", "kept"):
        record = dataclasses.replace(RECORD, detail=detail)
        write_photograph(dataclasses.replace(photograph, provenance=record), tmp_path / f"{detail}.dcm")
        series.add(pydicom.dcmread(tmp_path / f"{detail}.dcm").SeriesInstanceUID)
    assert len(series) == 2


def test_an_image_type_of_one_value_is_kept_whole(tmp_path):
    dataset = dicom_object(random_samples())
    dataset.ImageType = "ORIGINAL"
    (tmp_path / "eye.dcm").write_bytes(encoded(dataset))
    write_photograph(read_photograph(tmp_path / "eye.dcm"), tmp_path / "derived.dcm")
    assert list(pydicom.dcmread(tmp_path / "derived.dcm").ImageType) == ["DERIVED", "PRIMARY"]


def test_an_object_that_only_its_file_identifies_is_enhanced_too(tmp_path):
    dataset = dicom_object(random_samples())
    del dataset.SOPClassUID, dataset.SOPInstanceUID
    dataset.preamble = b"\0" * 128
    pydicom.dcmwrite(tmp_path / "eye.dcm", dataset)
    assert "SOPInstanceUID" not in pydicom.dcmread(tmp_path / "eye.dcm")
    write_photograph(read_photograph(tmp_path / "eye.dcm"), tmp_path / "derived.dcm")
    derived = pydicom.dcmread(tmp_path / "derived.dcm")
    assert derived.SOPClassUID == OPHTHALMIC_8_BIT
    assert derived.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.1"


def test_what_is_changed_after_an_enhancement_does_not_pass_for_enhanced(tmp_path):
    photograph = read_photograph(original_at(tmp_path))
    write_photograph(Photograph(**{**photograph.__dict__, "provenance": RECORD}), tmp_path / "enhanced.dcm")
    enhanced = read_photograph(tmp_path / "enhanced.dcm")
    write_photograph(Photograph(**{**enhanced.__dict__, "provenance": None}), tmp_path / "changed.dcm")
    assert read_photograph(tmp_path / "changed.dcm").provenance is None
    assert RECORD.to_json() not in str(pydicom.dcmread(tmp_path / "changed.dcm"))


def test_curves_that_were_made_for_the_originals_samples_are_left_out(tmp_path):
    path = original_at(tmp_path)
    original = pydicom.dcmread(path)
    curve = pydicom.Dataset()
    curve.LUTDescriptor, curve.LUTData = [256, 0, 8], bytes(range(255, -1, -1))
    original.VOILUTSequence = [curve]
    original.save_as(path)
    write_photograph(read_photograph(path), tmp_path / "derived.dcm")
    assert "VOILUTSequence" not in pydicom.dcmread(tmp_path / "derived.dcm")


def test_of_an_object_that_is_slightly_amiss_nothing_is_written_to_standard_error(tmp_path):
    dataset = dicom_object(random_samples())
    dataset.PixelData += b"\0" * 10
    (tmp_path / "eye.dcm").write_bytes(encoded(dataset))
    # In a process of its own, since pytest has filters of its own.
    read = "import sys; from retina_adapt.imaging import read_photograph; read_photograph(sys.argv[1])"
    for options, is_silent in (([], True), (["-W", "always"], False)):
        command = [sys.executable, *options, "-c", read, str(tmp_path / "eye.dcm")]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
        assert ("excess padding" not in said) == is_silent, said
