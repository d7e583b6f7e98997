"""An adaptor's files are read strictly: what does not fit is an error that names the file, and leaves no trace."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from toy_adaptors import METADATA, config_of, disturb

from retina_adapt.adaptors import attach_adaptor, load_adaptor, save_adaptor
from retina_adapt.backbones import ReconstructionBackbone, build_backbone
from retina_adapt.errors import RetinaAdaptError

TENSORS = "adaptor_model.safetensors"
CONFIG = "adaptor_config.json"


@pytest.fixture
def adaptor(toy_backbone_folder: Path, toy_backbone: ReconstructionBackbone, tmp_path: Path) -> Path:
    """A good adaptor folder; the toy backbone itself is left without adaptors."""
    adapted = attach_adaptor(toy_backbone, config_of("residual"), "made")
    disturb(adapted, "made")
    save_adaptor(adapted, "made", tmp_path / "adaptor", METADATA)
    adapted.unload()
    return tmp_path / "adaptor"


def rewrite_tensors(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    with safetensors.safe_open(folder / TENSORS, framework="pt") as file:
        header = file.metadata()
    tensors = safetensors.torch.load_file(folder / TENSORS)
    change(tensors)
    safetensors.torch.save_file(tensors, folder / TENSORS, metadata=header)


def rewrite_config(folder: Path, change: Callable[[dict], None]) -> None:
    config = json.loads((folder / CONFIG).read_text())
    change(config)
    (folder / CONFIG).write_text(json.dumps(config))


def first(tensors: dict[str, Tensor]) -> str:
    return next(iter(tensors))


def set_first(value: Callable[[Tensor], Tensor]) -> Callable[[Path], None]:
    return lambda folder: rewrite_tensors(folder, lambda t: t.update({first(t): value(t[first(t)])}))


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing tensor": (lambda f: rewrite_tensors(f, lambda t: t.pop(first(t))), "1 tensors missing"),
    "unexpected tensor": (
        lambda f: rewrite_tensors(f, lambda t: t.update(extra=torch.zeros(1))),
        "1 tensors unexpected, the first being 'extra'",
    ),
    "misshapen tensor": (set_first(lambda tensor: torch.zeros(3, 5)), r"\(3, 5\)"),
    "integer tensor": (set_first(lambda tensor: tensor.to(torch.int32)), "int32"),
    "NaN": (set_first(lambda tensor: tensor * float("nan")), "NaN"),
    "truncated tensors": (
        lambda f: (f / TENSORS).write_bytes((f / TENSORS).read_bytes()[:-100]),
        "not a whole safetensors file",
    ),
    "no tensors": (lambda f: (f / TENSORS).unlink(), "incomplete"),
    "no config": (lambda f: (f / CONFIG).unlink(), "no such file"),
    "broken config": (lambda f: (f / CONFIG).write_text("{"), "cannot be read as JSON"),
    "other version": (lambda f: rewrite_config(f, lambda c: c.update(format_version="99")), "format version '99'"),
    "other kind": (lambda f: rewrite_config(f, lambda c: c.update(adaptor_kind="LORA_X")), "unknown adaptor kind"),
    "other backbone": (
        lambda f: rewrite_config(f, lambda c: c.update(backbone_fingerprint="0" * 64)),
        "was trained on the backbone toy",
    ),
    "unknown key": (lambda f: rewrite_config(f, lambda c: c.update(surprise=1)), "exactly the keys"),
    "unknown setting": (lambda f: rewrite_config(f, lambda c: c["settings"].update(rank=4)), "rank"),
    "absurd setting": (
        lambda f: rewrite_config(f, lambda c: c["settings"].update(context_channels=10**9)),
        "context_channels is 1000000000",
    ),
    "unknown metadata": (lambda f: rewrite_config(f, lambda c: c["metadata"].update(colour="red")), "colour"),
    "missing metadata": (lambda f: rewrite_config(f, lambda c: c["metadata"].pop("seed")), "seed"),
    "metadata of another type": (
        lambda f: rewrite_config(f, lambda c: c["metadata"].update(pairs_seen="many")),
        "pairs_seen",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_adaptor_is_an_error_that_names_the_folder_and_attaches_nothing(
    damage: str, adaptor: Path, toy_backbone: ReconstructionBackbone
) -> None:
    modules_before = [name for name, _ in toy_backbone.named_modules()]
    make_damage, message = DAMAGES[damage]
    make_damage(adaptor)
    with pytest.raises(RetinaAdaptError, match=message) as caught:
        load_adaptor(toy_backbone, adaptor, "damaged")
    assert str(adaptor) in str(caught.value) or "context_channels" in str(caught.value)
    assert [name for name, _ in toy_backbone.named_modules()] == modules_before


def test_tensors_of_another_adaptor_beside_a_config_are_refused(
    adaptor: Path, toy_backbone: ReconstructionBackbone
) -> None:
    tensors = safetensors.torch.load_file(adaptor / TENSORS)
    safetensors.torch.save_file(tensors, adaptor / TENSORS, metadata={"format": "pt"})
    with pytest.raises(RetinaAdaptError, match="do not belong together"):
        load_adaptor(toy_backbone, adaptor, "mixed")


def test_an_adaptor_of_another_backbone_is_refused(adaptor: Path, toy_shape) -> None:
    torch.manual_seed(5)
    other = build_backbone(toy_shape)
    with pytest.raises(RetinaAdaptError, match="load that backbone"):
        load_adaptor(other, adaptor, "foreign")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255), file=st.sampled_from([TENSORS, CONFIG]))
def test_any_flipped_byte_either_loads_or_is_an_error_of_ours(
    position: float, flipped: int, file: str, adaptor: Path, toy_backbone: ReconstructionBackbone
) -> None:
    path = adaptor / file
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[int(position * len(whole))] ^= flipped
    path.write_bytes(bytes(damaged))
    try:
        load_adaptor(toy_backbone, adaptor, "fuzzed").unload()
    except RetinaAdaptError:
        pass
    finally:
        path.write_bytes(whole)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.floats(0, 1, exclude_max=True), file=st.sampled_from([TENSORS, CONFIG]))
def test_any_truncated_file_is_an_error_of_ours(
    kept: float, file: str, adaptor: Path, toy_backbone: ReconstructionBackbone
) -> None:
    path = adaptor / file
    whole = path.read_bytes()
    # The configuration's last byte is a line break, which may go.
    path.write_bytes(whole[: int(kept * (len(whole) - 1))])
    try:
        with pytest.raises(RetinaAdaptError):
            load_adaptor(toy_backbone, adaptor, "truncated")
    finally:
        path.write_bytes(whole)


def test_saving_over_an_adaptor_replaces_it_whole(
    adaptor: Path, toy_backbone: ReconstructionBackbone, frames: Tensor
) -> None:
    adapted = attach_adaptor(toy_backbone, config_of("residual, bottleneck"), "newer")
    disturb(adapted, "newer", seed=9)
    with torch.no_grad():
        expected = toy_backbone.encode(frames)
    save_adaptor(adapted, "newer", adaptor, METADATA)
    adapted.unload()
    load_adaptor(toy_backbone, adaptor, "again")
    with torch.no_grad():
        assert torch.equal(toy_backbone.encode(frames), expected)
    assert [path.name for path in adaptor.parent.iterdir() if path.name.startswith(".")] == []


def test_the_card_says_where_the_adaptor_comes_from(adaptor: Path) -> None:
    card = (adaptor / "README.md").read_text()
    for expected in ("light", "severity 0.4 to 0.9", "drawn photographs", "Apache-2.0", "21.5", "fingerprint", "toy"):
        assert expected in card
    assert "None" not in card
