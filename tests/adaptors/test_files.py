"""An adaptor's files are read strictly: what does not fit is an error that names the file, and leaves no trace."""

import dataclasses
import json
import os
import pickle
import resource
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from toy_adaptors import METADATA, SETTINGS, attach, config_of, disturb, equal, outputs
from toy_files import CARD, CONFIG, SMALL, TENSORS, change_config, change_tensors, read_config, reseal, save_toy_adaptor

from retina_adapt.adaptors import (
    AdaptorFileError,
    MetadataError,
    attach_adaptor,
    backbone_tensors,
    describe_adaptor,
    load_adaptor,
    save_adaptor,
)
from retina_adapt.adaptors.files import read_adaptor
from retina_adapt.backbones import ReconstructionBackbone, build_backbone, fingerprint_tensors


@pytest.fixture
def adaptor(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> Path:
    """A good adaptor folder; the toy backbone itself is left without adaptors."""
    save_toy_adaptor(toy_backbone, tmp_path / "adaptor")
    return tmp_path / "adaptor"


def state(backbone: ReconstructionBackbone) -> tuple[list[str], str]:
    """Names of all modules, and every bit of the backbone."""
    return [name for name, _ in backbone.named_modules()], fingerprint_tensors(backbone_tensors(backbone))


def first(tensors: dict[str, Tensor]) -> str:
    return next(iter(tensors))


def set_first(value: Callable[[Tensor], Tensor]) -> Callable[[Path], None]:
    return lambda folder: change_tensors(folder, lambda t: t.update({first(t): value(t[first(t)])}))


def replace_with_pipe(folder: Path) -> None:
    (folder / TENSORS).unlink()
    os.mkfifo(folder / TENSORS)


def longer_header(folder: Path, length: int) -> None:
    whole = (folder / TENSORS).read_bytes()
    (folder / TENSORS).write_bytes(struct.pack("<Q", length) + whole[8:])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing tensor": (lambda f: change_tensors(f, lambda t: t.pop(first(t))), "1 tensors missing"),
    "unexpected tensor": (
        lambda f: change_tensors(f, lambda t: t.update({"../extra": torch.zeros(1)})),
        "1 tensors unexpected, the first being '../extra'",
    ),
    "misshapen tensor": (set_first(lambda tensor: torch.zeros(3, 5)), r"\(3, 5\)"),
    "integer tensor": (set_first(lambda tensor: tensor.to(torch.int32)), "int32"),
    "NaN": (set_first(lambda tensor: tensor * float("nan")), "NaN"),
    "one flipped bit": (set_first(lambda tensor: tensor.nextafter(tensor + 1)), "do not give the sha256"),
    "truncated tensors": (
        lambda f: (f / TENSORS).write_bytes((f / TENSORS).read_bytes()[:-100]),
        "not a whole safetensors file",
    ),
    "a header longer than the file": (lambda f: longer_header(f, 2**20), "not a whole safetensors file"),
    "a header of absurd length": (lambda f: longer_header(f, 2**60), "more than the"),
    "tensors much too large": (
        lambda f: change_tensors(f, lambda t: t.update(large=torch.zeros(2**23))),
        "more than the",
    ),
    "no tensors": (lambda f: (f / TENSORS).unlink(), "get the whole adaptor again"),
    "a pipe": (replace_with_pipe, "not a regular file"),
    "no config": (lambda f: (f / CONFIG).unlink(), "no such file"),
    "broken config": (lambda f: (f / CONFIG).write_text("{"), "cannot be read as JSON"),
    "large config": (lambda f: (f / CONFIG).write_text(" " * 2**21), "more than the"),
    "other version": (lambda f: change_config(f, lambda c: c.update(format_version="99")), "format version '99'"),
    "other kind": (lambda f: change_config(f, lambda c: c.update(adaptor_kind="lora_x")), "unknown adaptor kind"),
    "unknown key": (lambda f: change_config(f, lambda c: c.update(surprise=1)), "exactly the keys"),
    "unknown setting": (lambda f: change_config(f, lambda c: c["settings"].update(rank=4)), "rank"),
    "absurd setting": (
        lambda f: change_config(f, lambda c: c["settings"].update(context_channels=10**9)),
        "context_channels is 1000000000",
    ),
    "changed setting": (
        lambda f: change_config(f, lambda c: c["settings"].update(bottleneck_channels=5)),
        "do not give the sha256",
    ),
    "changed metadata": (lambda f: change_config(f, lambda c: c["metadata"].update(seed=1)), "do not give the sha256"),
    "unknown metadata": (lambda f: change_config(f, lambda c: c["metadata"].update(colour="red")), "colour"),
    "missing metadata": (lambda f: change_config(f, lambda c: c["metadata"].pop("seed")), "seed"),
    "metadata of another type": (
        lambda f: change_config(f, lambda c: c["metadata"].update(pairs_seen="many")),
        "pairs_seen",
    ),
    "metadata that steers a terminal": (
        lambda f: change_config(f, lambda c: c["metadata"].update(recipe="\x1b[2J")),
        "recipe",
    ),
    "a name that is a path": (
        lambda f: change_config(f, lambda c: c["metadata"].update(name="../../escape")),
        "'name': '../../escape' cannot name an adaptor",
    ),
    "a number that is none": (
        lambda f: change_config(f, lambda c: c["metadata"].update(metrics={"psnr": float("nan")})),
        "metrics",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_adaptor_is_an_error_that_names_the_folder_and_leaves_the_backbone_as_it_was(
    damage: str, adaptor: Path, toy_backbone: ReconstructionBackbone
) -> None:
    before = state(toy_backbone)
    make_damage, message = DAMAGES[damage]
    make_damage(adaptor)
    with pytest.raises(AdaptorFileError, match=message) as caught:
        load_adaptor(toy_backbone, adaptor, "damaged")
    assert str(adaptor) in str(caught.value)
    assert state(toy_backbone) == before


FORGERIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "other backbone": (
        lambda f: change_config(f, lambda c: c.update(backbone_fingerprint="0" * 64)),
        "was trained on the backbone toy",
    ),
    "NaN": (set_first(lambda tensor: tensor * float("nan")), "NaN"),
    "infinity": (set_first(lambda tensor: tensor / 0), "NaN or infinite"),
    "missing tensor": (lambda f: change_tensors(f, lambda t: t.pop(first(t))), "1 tensors missing"),
    "absurd but allowed settings": (
        lambda f: change_config(f, lambda c: c["settings"].update(context_grid=8, context_channels=4096)),
        "tensors missing",
    ),
    "hook groups of no backbone": (
        lambda f: change_config(f, lambda c: c["settings"].update(hook_groups=["os.system"])),
        "no hook group 'os.system'",
    ),
    "settings of another kind": (lambda f: change_config(f, lambda c: c.update(adaptor_kind="lora")), "settings"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_adaptor_whose_sums_fit_is_refused_for_what_it_is(
    forgery: str, adaptor: Path, toy_backbone: ReconstructionBackbone
) -> None:
    before = state(toy_backbone)
    forge, message = FORGERIES[forgery]
    forge(adaptor)
    reseal(adaptor)
    with pytest.raises(AdaptorFileError, match=message) as caught:
        load_adaptor(toy_backbone, adaptor, "forged")
    assert str(adaptor) in str(caught.value)
    assert state(toy_backbone) == before


@pytest.mark.parametrize("kind", ["lora", "loha"])
def test_the_largest_ranks_of_a_file_cost_no_memory_before_its_tensors_are_found_not_to_fit(
    kind: str, toy_backbone: ReconstructionBackbone, tmp_path: Path
) -> None:
    small = dataclasses.replace(SETTINGS[kind], hook_groups=["encoder", "decoder"])
    save_toy_adaptor(toy_backbone, tmp_path / "adaptor", settings=small)
    change_config(tmp_path / "adaptor", lambda c: c["settings"].update(r=4096))
    reseal(tmp_path / "adaptor")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AdaptorFileError, match="expected float32, float16 or bfloat16"):
        load_adaptor(toy_backbone, tmp_path / "adaptor", "huge")
    # In KiB. The tensors would take more than the this.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_tensors_of_another_adaptor_beside_a_config_are_refused(
    adaptor: Path, toy_backbone: ReconstructionBackbone, tmp_path: Path
) -> None:
    save_toy_adaptor(toy_backbone, tmp_path / "other", seed=1)
    (adaptor / TENSORS).write_bytes((tmp_path / "other" / TENSORS).read_bytes())
    with pytest.raises(AdaptorFileError, match="do not belong together"):
        load_adaptor(toy_backbone, adaptor, "mixed")


def test_an_adaptor_of_another_backbone_is_refused(adaptor: Path, toy_shape) -> None:
    torch.manual_seed(5)
    other = build_backbone(toy_shape)
    with pytest.raises(AdaptorFileError, match="load that backbone"):
        load_adaptor(other, adaptor, "foreign")


def test_a_pickled_file_beside_the_tensors_is_never_read(
    adaptor: Path, toy_backbone: ReconstructionBackbone, tmp_path: Path
) -> None:
    class Payload:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "executed",))

    for name in ("adaptor_model.bin", "adapter_model.bin", "pytorch_model.bin"):
        (adaptor / name).write_bytes(pickle.dumps(Payload()))
    load_adaptor(toy_backbone, adaptor, "loaded").unload()
    for save in (lambda path: path.write_bytes(pickle.dumps(Payload())), lambda path: torch.save(Payload(), path)):
        save(adaptor / TENSORS)
        with pytest.raises(AdaptorFileError, match=r"not a whole safetensors file.*never loaded"):
            load_adaptor(toy_backbone, adaptor, "pickled")
    assert not (tmp_path / "executed").exists()


def test_links_to_files_are_followed_as_the_hubs_cache_is_made_of_them(
    adaptor: Path, toy_backbone: ReconstructionBackbone, tmp_path: Path
) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for path in adaptor.iterdir():
        (snapshot / path.name).symlink_to(path)
    load_adaptor(toy_backbone, snapshot, "linked")


FILES = st.sampled_from([TENSORS, CONFIG, CARD])
FUZZ = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


def load_and_unload(backbone: ReconstructionBackbone, folder: Path) -> AdaptorFileError | None:
    """The error of loading, if any; what else may be raised is a defect."""
    try:
        load_adaptor(backbone, folder, "fuzzed").unload()
    except AdaptorFileError as error:
        return error
    return None


def require_whole_or_refused(folder: Path, file: str, damaged: bytes, backbone: ReconstructionBackbone) -> None:
    """With these bytes in the file, the adaptor loads as it was saved, or an error names the folder; no trace stays."""
    expected = read_adaptor(folder)[1]
    whole, before = (folder / file).read_bytes(), state(backbone)
    (folder / file).write_bytes(damaged)
    try:
        error = load_and_unload(backbone, folder)
        tensors = expected if error else read_adaptor(folder)[1]
    finally:
        (folder / file).write_bytes(whole)
    assert error is None or str(folder) in str(error)
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)
    assert state(backbone) == before


@settings(max_examples=25, **FUZZ)
@given(
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4),
    file=FILES,
)
def test_any_flipped_bytes_load_the_identical_adaptor_or_are_refused(
    edits: list[tuple[float, int]], file: str, adaptor: Path, toy_backbone: ReconstructionBackbone
) -> None:
    damaged = bytearray((adaptor / file).read_bytes())
    for position, flipped in edits:
        damaged[int(position * len(damaged))] ^= flipped
    require_whole_or_refused(adaptor, file, bytes(damaged), toy_backbone)


@settings(max_examples=12, **FUZZ)
@given(kept=st.floats(0, 1, exclude_max=True), file=FILES)
def test_any_truncation_loads_the_identical_adaptor_or_is_refused(
    kept: float, file: str, adaptor: Path, toy_backbone: ReconstructionBackbone
) -> None:
    whole = (adaptor / file).read_bytes()
    require_whole_or_refused(adaptor, file, whole[: int(kept * len(whole))], toy_backbone)


@settings(max_examples=12, **FUZZ)
@given(inserted=st.binary(min_size=1, max_size=40), position=st.floats(0, 1), file=FILES)
def test_any_inserted_bytes_load_the_identical_adaptor_or_are_refused(
    inserted: bytes, position: float, file: str, adaptor: Path, toy_backbone: ReconstructionBackbone
) -> None:
    whole = (adaptor / file).read_bytes()
    place = int(position * len(whole))
    require_whole_or_refused(adaptor, file, whole[:place] + inserted + whole[place:], toy_backbone)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=25, **FUZZ)
@given(data=st.data(), value=JSON)
def test_any_value_in_the_place_of_any_entry_of_a_forged_configuration_loads_or_is_refused(
    data: st.DataObject, value: object, adaptor: Path, toy_backbone: ReconstructionBackbone
) -> None:
    texts = {path: path.read_bytes() for path in adaptor.iterdir()}
    config, before = read_config(adaptor), state(toy_backbone)
    entry = data.draw(st.sampled_from([config, config["settings"], config["metadata"]]))
    entry[data.draw(st.sampled_from(sorted(entry)))] = value
    (adaptor / CONFIG).write_text(json.dumps(config))
    # A value that JSON cannot hold has no sum.
    with suppress(ValueError):
        reseal(adaptor)
    error = load_and_unload(toy_backbone, adaptor)
    for path, content in texts.items():
        path.write_bytes(content)
    assert error is None or str(adaptor) in str(error)
    assert state(toy_backbone) == before


def test_saving_over_an_adaptor_replaces_it_whole(
    adaptor: Path, toy_backbone: ReconstructionBackbone, frames: Tensor
) -> None:
    adapted = attach(toy_backbone, "residual", "newer")
    disturb(adapted, "newer", seed=9)
    with torch.no_grad():
        expected = toy_backbone.encode(frames)
    save_adaptor(adapted, "newer", adaptor, METADATA)
    adapted.unload()
    load_adaptor(toy_backbone, adaptor, "again")
    with torch.no_grad():
        assert torch.equal(toy_backbone.encode(frames), expected)
    assert [path.name for path in adaptor.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_an_adaptor_that_is_not_finite_is_not_saved(
    value: float, adaptor: Path, toy_backbone: ReconstructionBackbone, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in adaptor.iterdir()}
    adapted = attach_adaptor(toy_backbone, SMALL.to_peft_config(), "diverged")
    with torch.no_grad():
        next(p for name, p in adapted.named_parameters() if "residual_adaptor" in name).view(-1)[0] = value
    for folder in (adaptor, tmp_path / "new"):
        with pytest.raises(AdaptorFileError, match="NaN or infinite") as caught:
            save_adaptor(adapted, "diverged", folder, METADATA)
        assert str(folder) in str(caught.value)
    assert {path.name: path.read_bytes() for path in adaptor.iterdir()} == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "wrong",
    [{"metrics": {"psnr": float("inf")}}, {"name": "two words"}, {"name": "keys"}, {"severity": [0.1]}, {"seed": "0"}],
)
def test_metadata_that_could_not_be_read_back_is_not_saved(
    wrong: dict, toy_backbone: ReconstructionBackbone, tmp_path: Path
) -> None:
    adapted = attach_adaptor(toy_backbone, SMALL.to_peft_config(), "made")
    with pytest.raises(MetadataError, match=next(iter(wrong))):
        save_adaptor(adapted, "made", tmp_path / "new", dataclasses.replace(METADATA, **wrong))
    assert not (tmp_path / "new").exists()


def test_a_setting_that_files_do_not_hold_is_not_saved(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    config = config_of("lora")
    config.use_rslora = True
    adapted = attach_adaptor(toy_backbone, config, "made")
    with pytest.raises(AdaptorFileError, match="use_rslora = True"):
        save_adaptor(adapted, "made", tmp_path / "new", METADATA)


@pytest.mark.parametrize("case", SETTINGS)
def test_every_kind_keeps_its_settings_its_sha256_and_its_bits(
    case: str, toy_backbone: ReconstructionBackbone, frames: Tensor, tmp_path: Path
) -> None:
    before = state(toy_backbone)
    small = dataclasses.replace(SETTINGS[case], hook_groups=["encoder", "decoder"])
    adapted = attach_adaptor(toy_backbone, small.to_peft_config(), "made")
    disturb(adapted, "made")
    expected = outputs(toy_backbone, frames)
    saved = save_adaptor(adapted, "made", tmp_path / "adaptor", METADATA)
    adapted.unload()
    read = describe_adaptor(tmp_path / "adaptor")
    assert read.to_dict() == saved.to_dict()
    assert read.kind == small.kind
    adapted = load_adaptor(toy_backbone, tmp_path / "adaptor", "other-name")
    assert equal(outputs(toy_backbone, frames), expected)
    # Saved again, under another name, it is the same adaptor, byte for byte.
    save_adaptor(adapted, "other-name", tmp_path / "again", dataclasses.replace(METADATA, name="made"))
    for path in (tmp_path / "adaptor").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    adapted.unload()
    assert state(toy_backbone) == before


def test_half_precision_tensors_load_as_single_precision(adaptor: Path, toy_backbone: ReconstructionBackbone) -> None:
    change_tensors(adaptor, lambda t: t.update({name: tensor.bfloat16() for name, tensor in t.items()}))
    reseal(adaptor)
    adapted = load_adaptor(toy_backbone, adaptor, "halved")
    loaded = safetensors.torch.load_file(adaptor / TENSORS)
    for name, parameter in adapted.get_base_model().named_parameters():
        if "residual_adaptor" in name:
            assert parameter.dtype == torch.float32
            assert torch.equal(parameter, loaded[name.replace(".halved.", ".")].float())
