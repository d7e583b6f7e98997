"""A router's files are read strictly: what does not fit is one error that names the file."""

import dataclasses
import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from new_process import run_script

from retina_adapt.routing import (
    Router,
    RouterFileError,
    RouterMetadata,
    load_router,
    read_router_metadata,
    save_router,
)

TENSORS = "router_model.safetensors"
CONFIG = "router_config.json"


@pytest.fixture
def folder(router: Router, metadata: RouterMetadata, tmp_path: Path) -> Path:
    save_router(router, tmp_path / "router", metadata)
    return tmp_path / "router"


def test_a_router_comes_back_bit_for_bit(router: Router, metadata: RouterMetadata, folder: Path) -> None:
    loaded = load_router(folder)
    assert loaded.settings == router.settings
    assert read_router_metadata(folder) == metadata
    frames = torch.rand(2, 3, 64, 64)
    for one, other in zip(router.judge(frames), loaded.judge(frames), strict=True):
        assert torch.equal(one, other)
    assert not loaded.network.training
    assert not any(parameter.requires_grad for parameter in loaded.network.parameters())


def test_another_process_judges_alike(router: Router, folder: Path) -> None:
    script = (
        "import sys, torch; from retina_adapt.routing import load_router;"
        "frame = torch.arange(3 * 64 * 64).reshape(1, 3, 64, 64) / (3 * 64 * 64);"
        "print(load_router(sys.argv[1]).judge(frame)[0].tolist())"
    )
    printed = run_script(script, folder)
    frame = torch.arange(3 * 64 * 64).reshape(1, 3, 64, 64) / (3 * 64 * 64)
    assert json.loads(printed) == router.judge(frame)[0].tolist()


def test_loading_draws_no_random_numbers(folder: Path) -> None:
    before = torch.get_rng_state()
    load_router(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_happens_to_the_file_afterwards_does_not_reach_a_loaded_router(folder: Path) -> None:
    loaded = load_router(folder)
    before = [parameter.clone() for parameter in loaded.network.parameters()]
    with (folder / TENSORS).open("r+b") as stream:
        stream.seek(4000)
        stream.write(b"\x00" * 400)
    for one, other in zip(before, loaded.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_saving_replaces_the_old_router_whole(router: Router, metadata: RouterMetadata, folder: Path) -> None:
    (folder / "left over").write_text("")
    changed = Router(router.network, dataclasses.replace(router.settings, clear_threshold=0.25))
    save_router(changed, folder, metadata)
    assert load_router(folder).settings.clear_threshold == 0.25
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", CONFIG, TENSORS]
    assert [path.name for path in folder.parent.iterdir()] == ["router"]


def test_saving_does_not_replace_a_folder_of_other_things(
    router: Router, metadata: RouterMetadata, tmp_path: Path
) -> None:
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "eye.png").touch()
    with pytest.raises(RouterFileError, match="photographs: holds something that is no router"):
        save_router(router, tmp_path / "photographs", metadata)
    assert (tmp_path / "photographs" / "eye.png").exists()


def test_the_card_tells_what_the_router_is(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    for part in ("license: apache-2.0", "`haze`", "light, haze at severities 0.4 to 1", "0.500", "testing", "drawn"):
        assert part in card
    assert "None" not in card
    assert "{" not in card


# Damage


def change_config(folder: Path, change: Callable[[dict], object]) -> None:
    content = json.loads((folder / CONFIG).read_text())
    change(content)
    (folder / CONFIG).write_text(json.dumps(content))


def change_settings(**values: object) -> Callable[[Path], None]:
    return lambda folder: change_config(folder, lambda content: content["settings"].update(values))


def change_metadata(**values: object) -> Callable[[Path], None]:
    return lambda folder: change_config(folder, lambda content: content["metadata"].update(values))


def change_tensor(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        tensors = safetensors.torch.load_file(folder / TENSORS)
        tensors["hidden.weight"] = change(tensors["hidden.weight"])
        safetensors.torch.save_file(tensors, folder / TENSORS)

    return apply


def rename_tensor(folder: Path) -> None:
    tensors = safetensors.torch.load_file(folder / TENSORS)
    tensors["../weight"] = tensors.pop("hidden.weight")
    safetensors.torch.save_file(tensors, folder / TENSORS)


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def truncate(folder: Path) -> None:
    (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes()[:-100])


def replace_by_pipe(folder: Path) -> None:
    (folder / TENSORS).unlink()
    os.mkfifo(folder / TENSORS)


DAMAGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no configuration": (lambda f: (f / CONFIG).unlink(), CONFIG, "no such file"),
    "no tensors": (lambda f: (f / TENSORS).unlink(), TENSORS, "no such file"),
    "a pipe": (replace_by_pipe, TENSORS, "not a regular file"),
    "no JSON": (write(CONFIG, b"{"), CONFIG, "not valid JSON"),
    "no text": (write(CONFIG, b"\xff\xfe"), CONFIG, "cannot be read as text"),
    "endless brackets": (write(CONFIG, b"[" * 100_000), CONFIG, "not valid JSON"),
    "a list": (write(CONFIG, b"[]"), CONFIG, "does not hold a JSON object"),
    "an endless configuration": (write(CONFIG, b" " * (2**20 + 1)), CONFIG, "more than the"),
    "another format": (lambda f: change_config(f, lambda c: c.update(format_version=2)), CONFIG, "format 2"),
    "an unknown key": (lambda f: change_config(f, lambda c: c.update(code="import os")), CONFIG, "nothing else"),
    "an unknown setting": (change_settings(fog=1), CONFIG, "unknown: fog"),
    "a missing setting": (lambda f: change_config(f, lambda c: c["settings"].pop("classes")), CONFIG, "classes"),
    "settings of no name": (lambda f: change_config(f, lambda c: c.update(settings=[])), CONFIG, "settings: is a list"),
    "a text for a number": (change_settings(image_size="64"), CONFIG, "'image_size' has an unexpected value"),
    "a number for a list": (change_settings(channels=5), CONFIG, "'channels' has an unexpected value"),
    "a truth for a number": (change_settings(hidden_features=True), CONFIG, "'hidden_features' has"),
    "no adaptor name": (change_settings(adaptors={"haze": None}), CONFIG, "'adaptors' has an unexpected value"),
    "a setting out of range": (change_settings(clear_threshold=2.0), CONFIG, "clear_threshold is 2.0"),
    "an infinite threshold": (change_settings(clear_threshold=float("inf")), CONFIG, "'clear_threshold' has"),
    "absurd sizes": (change_settings(channels=[10**9] * 5), CONFIG, "to 1024"),
    "an unknown class": (change_settings(classes=["clear", "fog"]), CONFIG, "train it again"),
    "a text for metrics": (change_metadata(metrics="good"), CONFIG, "'metrics' has an unexpected value"),
    "an endless number": (change_metadata(metrics={"accuracy": 10**400}), CONFIG, "'metrics' has"),
    "a terminal's commands": (change_metadata(license="\x1b[2J"), CONFIG, "'license' has an unexpected value"),
    "other sizes than the tensors'": (change_settings(hidden_features=9), TENSORS, "of another shape or type"),
    "a renamed tensor": (rename_tensor, TENSORS, "../weight, hidden.weight"),
    "a misshapen tensor": (change_tensor(lambda tensor: tensor[:4].clone()), TENSORS, "hidden.weight"),
    "a tensor of another type": (change_tensor(lambda tensor: tensor.to(torch.int32)), TENSORS, "hidden.weight"),
    "NaN": (change_tensor(lambda tensor: tensor * float("nan")), TENSORS, "hidden.weight holds values"),
    "one flipped bit": (change_tensor(lambda tensor: tensor.nextafter(tensor + 1)), TENSORS, "sha256 differs"),
    "truncated tensors": (truncate, TENSORS, "not a whole safetensors file"),
    "a pickle": (write(TENSORS, pickle.dumps({"hidden.weight": [1.0]})), TENSORS, "a pickle"),
    "an absurd header": (write(TENSORS, struct.pack("<Q", 2**60) + b"{}"), TENSORS, "not a whole safetensors file"),
    "a huge file": (write(TENSORS, b"\x00" * 2**18), TENSORS, "more than the"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_router_is_one_error_that_names_the_file(damage: str, folder: Path) -> None:
    apply, file, message = DAMAGES[damage]
    apply(folder)
    with pytest.raises(RouterFileError) as raised:
        load_router(folder)
    assert str(folder / file) in str(raised.value)
    assert message in str(raised.value)


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RouterFileError, match=r"nowhere.*no such file"):
        load_router(tmp_path / "nowhere")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from([TENSORS, CONFIG]), place=st.floats(0, 1, exclude_max=True), noise=st.binary(max_size=12))
def test_random_damage_is_this_error_or_is_none(file: str, place: float, noise: bytes, folder: Path) -> None:
    whole = (folder / file).read_bytes()
    position = int(place * len(whole))
    (folder / file).write_bytes(whole[:position] + noise + whole[position + len(noise) :])
    message = ""
    try:
        loaded = load_router(folder)
    except RouterFileError as error:
        message = str(error)
    finally:
        (folder / file).write_bytes(whole)
    # Some damage says nothing of the network: a word in the metadata, the space between two keys.
    assert str(folder) in message or all(parameter.isfinite().all() for parameter in loaded.network.parameters())
