"""`retina-adapt enhance` gives every format back as itself, with what the camera said, and keeps the originals."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from typer.testing import CliRunner

from retina_adapt.cli import app
from retina_adapt.imaging import Photograph, read_photograph, write_photograph
from retina_adapt.imaging.synthetic_fundus import draw_fundus

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed: pip install '.[dicom]'")

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def save_dicom(samples: np.ndarray, path: Path) -> None:
    """An ophthalmic photograph of `samples`, uint8 (H, W, 3), as a camera would store it."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = pydicom.uid.OphthalmicPhotography8BitImageStorage
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID, dataset.StudyInstanceUID = "1.2.3.1", "1.2.3.2", "1.2.3.3"
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Doe^Jane", "77", "OP"
    dataset.ImageType, dataset.NumberOfFrames = ["ORIGINAL", "PRIMARY", "", "COLOR"], 1
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = *samples.shape[:2], 3
    dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.add_new("PixelData", "OB", samples.tobytes())
    dataset.save_as(path, enforce_file_format=True)


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    pixels = draw_fundus(3, 128)[0].astype(np.float32)
    write_photograph(Photograph(pixels, bit_depth=16), folder / "deep.tif")
    samples = np.rint(255 * pixels).astype(np.uint8)
    exif = Image.Exif()
    exif[271] = "Camera maker"
    Image.fromarray(samples).save(folder / "eye.jpg", exif=exif, icc_profile=PROFILE)
    save_dicom(samples, folder / "eye.dcm")
    return folder


def test_every_format_comes_back_as_itself(
    originals: Path, toy_backbone_folder: Path, toy_adaptor_folder: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in originals.iterdir()}
    models = ["--backbone", str(toy_backbone_folder), "--adaptor", str(toy_adaptor_folder), "--device", "cpu"]
    result = CliRunner().invoke(app, ["enhance", str(originals), str(tmp_path / "out"), *models])
    assert result.exit_code == 0, result.output
    assert {path: path.read_bytes() for path in originals.iterdir()} == before
    for path, content in before.items():
        enhanced = read_photograph(tmp_path / "out" / path.name)
        assert not np.array_equal(enhanced.pixels, read_photograph(path).pixels)
        assert enhanced.provenance.input_sha256 == hashlib.sha256(content).hexdigest()
    assert read_photograph(tmp_path / "out" / "deep.tif").bit_depth == 16
    jpeg = Image.open(tmp_path / "out" / "eye.jpg")
    assert (jpeg.getexif()[271], jpeg.info["icc_profile"]) == ("Camera maker", PROFILE)
    derived = pydicom.dcmread(tmp_path / "out" / "eye.dcm")
    assert (derived.ImageType[0], derived.PatientID) == ("DERIVED", "77")
    assert derived.SOPInstanceUID != "1.2.3.1"
    assert derived.StudyInstanceUID == "1.2.3.3"
    assert "made" in derived.DerivationDescription
