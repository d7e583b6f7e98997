"""Adaptors by name: loaded, swapped, blended, chained and deleted, without a trace."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fundus_frames import fundus_frame
from toy_adaptors import config_of, disturb

from retina_adapt.adaptors import (
    AdaptorArithmeticError,
    AdaptorNameError,
    attach_adaptor,
    describe_adaptor,
    interpolate_adaptors,
    train_only,
)
from retina_adapt.adaptors.single_file import export_single_file
from retina_adapt.backbones import AdaptedBackboneError, load_backbone
from retina_adapt.embedded import UnknownModelError, adaptor_folder, embedded_names
from retina_adapt.enhancement import Enhancer, enhance_frames
from retina_adapt.imaging.synthetic_fundus import draw_fundus


def test_a_backbone_whose_adaptors_are_in_training_is_refused_and_goes_on_training(toy_backbone_folder: Path) -> None:
    backbone = load_backbone(toy_backbone_folder)
    adapted = attach_adaptor(backbone, config_of("residual"), "own")
    trained = train_only(adapted.train(), "own", ["encoder"])
    with pytest.raises(AdaptedBackboneError, match=r"`enhance_frames`.*`save_adaptor`.*`load_adaptor`"):
        Enhancer(backbone)
    assert all(parameter.requires_grad for parameter in trained)
    assert backbone.training
    disturb(adapted, "own")
    frames = torch.rand(1, 3, 64, 64)
    assert not torch.equal(enhance_frames(backbone, frames), frames)
    assert all(parameter.requires_grad for parameter in trained)


def test_switching_and_deleting_leave_no_trace(
    enhancer: Enhancer, toy_backbone_folder: Path, adaptor_folders: list[Path]
) -> None:
    frame = fundus_frame()
    only_first = enhancer(frame)
    enhancer.load_adaptor(adaptor_folders[1])
    assert enhancer.adaptors == ["first", "second"]
    assert enhancer.active_adaptor == "second"
    fresh = Enhancer.from_pretrained(toy_backbone_folder)
    fresh.load_adaptor(adaptor_folders[1])
    assert np.array_equal(enhancer(frame), fresh(frame))
    enhancer.set_adaptor("first")
    assert np.array_equal(enhancer(frame), only_first)
    enhancer.delete_adaptor("second")
    assert np.array_equal(enhancer(frame), only_first)
    enhancer.delete_adaptor("first")
    assert enhancer.adaptors == []
    assert enhancer.active_adaptor is None
    assert np.array_equal(enhancer(frame), frame)
    enhancer.load_adaptor(adaptor_folders[0])
    assert np.array_equal(enhancer(frame), only_first)


@pytest.mark.parametrize("deleted", ["first", "second"])
def test_deleting_a_member_of_a_blend_leaves_none_active(
    enhancer: Enhancer, adaptor_folders: list[Path], deleted: str
) -> None:
    enhancer.load_adaptor(adaptor_folders[1])
    enhancer.set_adaptor_weights({"first": 0.3, "second": 0.5})
    enhancer.delete_adaptor(deleted)
    assert enhancer.active_adaptor is None
    assert enhancer.active_passes == []
    frame = fundus_frame()
    assert np.array_equal(enhancer(frame), frame)


def test_deleting_an_adaptor_beside_a_blend_leaves_the_blend(enhancer: Enhancer, adaptor_folders: list[Path]) -> None:
    enhancer.load_adaptor(adaptor_folders[1])
    enhancer.load_adaptor(adaptor_folders[0], "third")
    enhancer.set_adaptor_weights({"first": 0.3, "second": 0.5})
    frame = fundus_frame()
    before = enhancer(frame)
    enhancer.delete_adaptor("third")
    assert enhancer.active_passes == [{"first": 0.3, "second": 0.5}]
    assert np.array_equal(enhancer(frame), before)


def test_an_adaptor_chosen_after_a_blend_has_its_whole_effect_again(
    enhancer: Enhancer, adaptor_folders: list[Path]
) -> None:
    frame = fundus_frame()
    enhancer.load_adaptor(adaptor_folders[1])
    alone = enhancer(frame)
    enhancer.set_adaptor_weights({"first": 0.3, "second": 0.5})
    assert not np.array_equal(enhancer(frame), alone)
    enhancer.set_adaptor("second")
    assert np.array_equal(enhancer(frame), alone)


def test_adaptors_of_a_sequence_have_weights(enhancer: Enhancer, adaptor_folders: list[Path]) -> None:
    enhancer.load_adaptor(adaptor_folders[1])
    frame, options = 0.25 + draw_fundus(3, 64)[0] / 2, {"detail": "kept", "field_of_view": "full_frame"}
    expected = frame
    for name, weight in (("second", 0.5), ("first", 1.0)):
        enhancer.set_adaptor_weights({name: weight})
        expected = enhancer(expected, **options)
    enhancer.set_adaptor_sequence({"second": 0.5, "first": 1.0})
    assert enhancer.active_adaptor == "0.5 second, then first"
    np.testing.assert_allclose(enhancer(frame, **options), expected, atol=1e-5)


def test_a_sequence_that_cannot_be_leaves_active_what_was(enhancer: Enhancer, adaptor_folders: list[Path]) -> None:
    enhancer.load_adaptor(adaptor_folders[1])
    enhancer.set_adaptor("first")
    frame = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = enhance_frames(enhancer.backbone, frame)
    with pytest.raises(AdaptorArithmeticError):
        enhancer.set_adaptor_sequence({"second": 1.0, "first": float("nan")})
    assert enhancer.active_adaptor == "first"
    assert torch.equal(enhance_frames(enhancer.backbone, frame), before)


def test_a_sequence_of_what_is_not_loaded_changes_nothing_of_what_is_active(
    enhancer: Enhancer, adaptor_folders: list[Path]
) -> None:
    before = enhancer(fundus_frame())
    enhancer.load_adaptor(adaptor_folders[1], "other")
    enhancer.set_adaptor("first")
    with pytest.raises(AdaptorNameError, match="no adaptor named 'second'"):
        enhancer.set_adaptor_sequence(["other", "second"])
    assert enhancer.active_passes == [{"first": 1.0}]
    assert np.array_equal(enhancer(fundus_frame()), before)
    enhancer.set_adaptor_sequence(["first", "first"])
    enhancer.delete_adaptor("first")
    assert enhancer.active_adaptor is None


def test_a_sequence_of_one_adaptor_may_be_its_name(enhancer: Enhancer) -> None:
    enhancer.set_adaptor_sequence([])
    enhancer.set_adaptor_sequence("first")
    assert enhancer.active_passes == [{"first": 1.0}]


def test_an_adaptor_is_called_by_its_card_wherever_it_lies(
    toy_backbone_folder: Path, adaptor_folders: list[Path], tmp_path: Path
) -> None:
    shutil.copytree(adaptor_folders[0], tmp_path / "adaptor")
    export_single_file(adaptor_folders[1], tmp_path / "exported.v2.safetensors")
    enhancer = Enhancer.from_pretrained(toy_backbone_folder)
    assert enhancer.load_adaptor(tmp_path / "adaptor") == "first"
    assert enhancer.load_adaptor(tmp_path / "exported.v2.safetensors") == "second"
    assert enhancer.load_adaptor(tmp_path / "adaptor", "own-name") == "own-name"
    assert enhancer.adaptors == ["first", "second", "own-name"]


def test_two_adaptors_of_one_name_need_another_name(enhancer: Enhancer, adaptor_folders: list[Path]) -> None:
    with pytest.raises(
        AdaptorNameError, match=r"named 'first' is loaded already.*name= in Python, NAME=PATH on"
    ) as raised:
        enhancer.load_adaptor(adaptor_folders[0])
    assert str(adaptor_folders[0]) in str(raised.value)
    assert enhancer.adaptors == ["first"]
    assert enhancer.active_adaptor == "first"


@pytest.mark.parametrize("name", embedded_names("adaptors"))
def test_an_embedded_adaptors_card_has_its_embedded_name(name: str) -> None:
    assert describe_adaptor(adaptor_folder(name)).metadata.name == name


def test_unknown_names_are_errors_that_list_the_known_ones(enhancer: Enhancer) -> None:
    with pytest.raises(AdaptorNameError, match="loaded are: first"):
        enhancer.set_adaptor("third")
    with pytest.raises(UnknownModelError, match="light"):
        enhancer.load_adaptor("nowhere")


def test_of_a_blend_that_was_made_here_no_metadata_is_known(enhancer: Enhancer, adaptor_folders: list[Path]) -> None:
    for folder in adaptor_folders:
        if folder.name not in enhancer.adaptors:
            enhancer.load_adaptor(folder, name=folder.name)
    first, second = (folder.name for folder in adaptor_folders)
    interpolate_adaptors(enhancer.adapted, {first: 0.5, second: 0.5}, "mean")
    with pytest.raises(AdaptorNameError, match="'mean' was not loaded from a file"):
        enhancer.metadata_of("mean")


def test_nothing_is_known_of_a_deleted_adaptor_whose_name_another_takes(
    enhancer: Enhancer, adaptor_folders: list[Path]
) -> None:
    first, second = adaptor_folders
    enhancer.load_adaptor(first, name="kept")
    enhancer.load_adaptor(second, name="gone")
    enhancer.delete_adaptor("gone")
    interpolate_adaptors(enhancer.adapted, {"kept": 1.0}, "gone")
    with pytest.raises(AdaptorNameError, match="'gone' was not loaded from a file"):
        enhancer.metadata_of("gone")
