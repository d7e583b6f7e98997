"""What the app does with photographs, without the web."""

import shutil
import threading
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from retina_adapt.app import StudioError
from retina_adapt.app import studio as module
from retina_adapt.app.launch import load_studio
from retina_adapt.app.studio import GoneError
from retina_adapt.enhancement import EnhancementSettings
from retina_adapt.imaging import (
    ImageReadError,
    Photograph,
    decode_photograph,
    read_photograph,
    sha256_of,
    write_photograph,
)
from retina_adapt.imaging.synthetic_fundus import draw_fundus

FAST, SAMPLED = EnhancementSettings(), EnhancementSettings(mode="diffusion", steps=2, seed=5)


def result_file(studio, number) -> Path:
    result = studio.photographs[number].result
    return studio.result_file(number, result.turn)


def pixels_of(studio, number) -> np.ndarray:
    return read_photograph(result_file(studio, number)).pixels


def test_a_result_keeps_name_format_size_and_exif_and_says_what_made_it(studio, eye):
    number = studio.add("left eye.png", eye)
    studio.enhance(number, {"light": 1, "haze": 0}, FAST)
    result = read_photograph(result_file(studio, number))
    original = decode_photograph(eye, "eye")
    assert result_file(studio, number).name == "left eye_enhanced.png"
    assert result.pixels.shape == original.pixels.shape
    assert result.exif == original.exif
    assert not np.array_equal(result.pixels, original.pixels)
    provenance = result.provenance
    assert [(used.name, used.weight) for used in provenance.adaptors] == [("light", 1.0)]
    assert provenance.adaptors[0].sha256 == studio.adaptors["light"].sha256
    assert provenance.backbone_fingerprint == studio.backbone.sha256
    assert provenance.input_sha256 == sha256_of(eye)
    assert (provenance.mode, provenance.seed) == ("fast", None)


def test_weights_blend_adaptors_and_leave_no_trace_behind(studio, eye):
    number = studio.add("eye.png", eye)
    pictures = []
    for weights in ({"light": 1}, {"light": 0.5}, {"light": 0.5, "haze": 0.5}, {"light": 1}):
        studio.enhance(number, weights, FAST)
        pictures.append(pixels_of(studio, number))
    assert np.array_equal(pictures[0], pictures[3])
    assert not any(np.array_equal(pictures[i], pictures[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_without_adaptors_nothing_changes(studio, eye):
    number = studio.add("eye.png", eye)
    entry = studio.enhance(number, {"light": 0, "haze": 0}, FAST).entry
    assert np.array_equal(pixels_of(studio, number), decode_photograph(eye, "eye").pixels)
    assert (entry.adaptor, entry.mean_change) == ("none", 0)


def test_several_seeds_give_an_uncertainty_map_and_the_first_ones_result(studio, eye):
    number = studio.add("eye.png", eye)
    alone = studio.enhance(number, {"light": 1}, SAMPLED).entry
    first = pixels_of(studio, number)
    several = studio.enhance(number, {"light": 1}, SAMPLED, seeds=3).entry
    assert alone.uncertainty is None
    assert several.uncertainty > 0
    assert np.array_equal(pixels_of(studio, number), first)
    assert read_photograph(result_file(studio, number)).provenance.seed == 5


@pytest.mark.parametrize("name", ["a\0b\n.png", "👁" * 80 + ".png"])
def test_any_name_has_a_result(studio, eye, name):
    number = studio.add(name, eye)
    studio.enhance(number, {"light": 1}, EnhancementSettings())
    assert result_file(studio, number).is_file()


def test_a_name_is_never_a_path(studio, eye):
    for name in ("../../../evil.png", "..\\evil.png", "/etc/evil.png"):
        number = studio.add(name, eye)
        studio.enhance(number, {}, FAST)
        assert result_file(studio, number).name == "evil_enhanced.png"
        assert result_file(studio, number).parent.name == str(number)


@pytest.mark.parametrize(("weights", "seeds"), [({"light": 9}, 1), ({"light": float("nan")}, 1), ({"light": 1}, 0)])
def test_what_is_out_of_range_is_refused(studio, eye, weights, seeds):
    with pytest.raises(StudioError, match="choose"):
        studio.enhance(studio.add("eye.png", eye), weights, FAST, seeds)


def test_what_is_not_there_is_refused(studio, eye):
    with pytest.raises(ImageReadError, match=r"notes\.txt"):
        studio.add("notes.txt", b"words")
    with pytest.raises(StudioError, match="load it again"):
        studio.enhance(7, {}, FAST)
    number = studio.add("eye.png", eye)
    with pytest.raises(StudioError, match="enhance it first"):
        studio.result_file(number, 1)
    with pytest.raises(StudioError, match="enhance a photograph first"):
        studio.report()
    studio.remove(number)
    with pytest.raises(StudioError, match="load it again"):
        studio.result_file(number, 1)


def test_closing_removes_photographs_from_the_disk(studio, eye):
    number = studio.add("eye.png", eye)
    studio.enhance(number, {}, FAST)
    result = result_file(studio, number)
    studio.close()
    assert not result.parent.parent.exists()


def test_adaptors_bear_the_names_that_they_are_given(model_folders):
    backbone, (first, second) = model_folders
    studio = load_studio([("mine", first), second], backbone, "cpu")
    own_name = studio.enhancer.adaptors[1]
    assert studio.enhancer.adaptors == ["mine", own_name]
    assert {name: identity.name for name, identity in studio.adaptors.items()} == {"mine": "mine", own_name: own_name}
    studio.close()


def test_a_dicom_object_comes_back_as_one_of_the_same_patient(studio, eye):
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed: pip install '.[dicom]'")
    samples = np.rint(decode_photograph(eye, "eye").pixels * 255).astype(np.uint8)
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1"
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID, dataset.PatientID = "1.2.3.2", "1.2.3.3", "77"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = samples.shape
    dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.add_new("PixelData", "OB", samples.tobytes() + b"\0" * (samples.size % 2))
    file = BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    number = studio.add("eye.dcm", file.getvalue())
    studio.enhance(number, {"light": 1}, FAST)
    assert result_file(studio, number).name == "eye_enhanced.dcm"
    result = pydicom.dcmread(result_file(studio, number))
    assert (result.PatientID, result.StudyInstanceUID) == ("77", "1.2.3.3")
    assert "enhanced" in result.SeriesDescription


def test_a_photograph_that_is_removed_while_it_is_enhanced_leaves_nothing_on_the_disk(studio, eye, monkeypatch):
    number = studio.add("eye.png", eye)
    folder = studio.photographs[number].file.parent
    enhance = studio.enhancer.enhance

    def enhance_and_remove(*arguments, **options):
        made = enhance(*arguments, **options)
        studio.remove(number)
        return made

    monkeypatch.setattr(studio.enhancer, "enhance", enhance_and_remove)
    with pytest.raises(StudioError, match="no such photograph any more"):
        studio.enhance(number, {"light": 1}, FAST)
    assert not folder.exists()


def test_a_photograph_that_is_removed_while_it_waits_for_its_turn_is_gone(studio, eye):
    number = studio.add("eye.png", eye)
    refusals = []

    def enhance():
        try:
            studio.enhance(number, {"light": 1}, FAST)
        except StudioError as error:
            refusals.append(error)

    with studio._lock:
        waiting = threading.Thread(target=enhance)
        waiting.start()
        time.sleep(0.1)
        studio.remove(number)
    waiting.join()
    assert isinstance(refusals[0], GoneError)


def test_what_a_cleaner_of_old_files_deleted_is_an_error_with_its_own_remedy(studio, eye):
    number = studio.add("eye.png", eye)
    result = studio.enhance(number, {"light": 1}, FAST)
    result.file.unlink()
    with pytest.raises(StudioError, match=r"eye_enhanced\.png was deleted; load the photograph and enhance it again"):
        studio.result_file(number, result.turn)
    studio.photographs[number].file.unlink()
    with pytest.raises(StudioError, match=r"original cannot be read \(No such file.*; load the photograph again"):
        studio.enhance(number, {"light": 1}, FAST)
    shutil.rmtree(result.file.parents[1])
    with pytest.raises(StudioError, match=r"cannot be stored \(No such file.*was deleted: start the app again"):
        studio.add("eye.png", eye)


def test_of_two_requests_for_one_photograph_the_later_one_stays(studio, eye, monkeypatch):
    number = studio.add("eye.png", eye)
    look = module.report_entry

    def look_slowly(*arguments, adaptor, **options):
        if adaptor == "light":
            later.start()
            time.sleep(0.3)
        return look(*arguments, adaptor=adaptor, **options)

    monkeypatch.setattr(module, "report_entry", look_slowly)
    later = threading.Thread(target=studio.enhance, args=(number, {"haze": 1}, FAST))
    studio.enhance(number, {"light": 1}, FAST)
    later.join()
    assert studio.photographs[number].result.entry.adaptor == "haze"
    assert [used.name for used in read_photograph(result_file(studio, number)).provenance.adaptors] == ["haze"]


def test_a_result_that_was_replaced_since_is_not_handed_out_as_the_one_before(studio, eye):
    number = studio.add("eye.png", eye)
    first = studio.enhance(number, {"light": 1}, FAST)
    assert studio.result_file(number, first.turn).is_file()
    second = studio.enhance(number, {"haze": 1}, FAST)
    with pytest.raises(StudioError, match="this result was replaced since"):
        studio.result_file(number, first.turn)
    assert studio.result_file(number, second.turn).is_file()


def test_a_page_of_an_earlier_studio_finds_none_of_a_later_ones_photographs(studio, eye, model_folders):
    backbone, adaptors = model_folders
    later = load_studio(adaptors, backbone, "cpu")
    number = studio.add("first.png", eye)
    later.add("second.png", eye)
    with pytest.raises(GoneError, match="no such photograph any more"):
        later.enhance(number, {"light": 1}, FAST)
    later.close()


def test_a_file_that_is_another_format_than_its_name_says_is_enhanced_all_the_same(studio, tmp_path):
    deep = Photograph(draw_fundus(0, 160)[0], bit_depth=16)
    write_photograph(deep, tmp_path / "eye.png")
    number = studio.add("eye.jpg", (tmp_path / "eye.png").read_bytes())
    studio.enhance(number, {"light": 1}, FAST)
    assert result_file(studio, number).name == "eye_enhanced.png"
    assert read_photograph(result_file(studio, number)).bit_depth == 16


def test_the_report_names_the_adaptors_that_took_part_alone(studio, eye):
    studio.enhance(studio.add("eye.png", eye), {"light": 1, "haze": 0}, FAST)
    page = studio.report().read_text(encoding="utf-8")
    assert studio.adaptors["light"].sha256 in page
    assert studio.adaptors["haze"].sha256 not in page
