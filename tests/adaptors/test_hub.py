"""Publishing and fetching, against a Hub on this machine that speaks the real one's protocol."""

import dataclasses
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import HfApi
from torch import Tensor
from toy_adaptors import METADATA, equal, outputs
from toy_files import CARD, CONFIG, TENSORS, change_config, change_tensors, reseal, save_toy_adaptor
from toy_hub import ToyHub, serve_toy_hub

from retina_adapt.adaptors import AdaptorFileError, describe_adaptor, load_adaptor
from retina_adapt.adaptors.hub import ORIGIN_FILE, HubError, fetch_adaptor, publish_adaptor
from retina_adapt.backbones import ReconstructionBackbone

REPOSITORY = "clinic/light"
NAMES = {TENSORS, CONFIG, CARD}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyHub]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with serve_toy_hub() as hub:
        yield hub


@pytest.fixture
def api(hub: ToyHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token="secret")


@pytest.fixture
def adaptor(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> Path:
    save_toy_adaptor(toy_backbone, tmp_path / "adaptor", metadata=dataclasses.replace(METADATA, name="light"))
    return tmp_path / "adaptor"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def traces(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith((".fetched", "fetched"))]


def test_what_is_published_and_fetched_is_the_same_adaptor(
    adaptor: Path, hub: ToyHub, api: HfApi, toy_backbone: ReconstructionBackbone, frames: Tensor, tmp_path: Path
) -> None:
    publication = publish_adaptor(adaptor, REPOSITORY, api=api)
    assert hub.repositories[REPOSITORY][publication.revision] == contents(adaptor)
    assert publication.files == {name: len(content) for name, content in contents(adaptor).items()}
    assert hub.private == {REPOSITORY: True}
    assert set(hub.tokens) == {"Bearer secret"}
    origin = fetch_adaptor(REPOSITORY, tmp_path / "fetched", api=api)
    fetched = contents(tmp_path / "fetched")
    assert json.loads(fetched.pop(ORIGIN_FILE)) == dataclasses.asdict(origin)
    assert origin.revision == publication.revision
    assert origin.sha256 == describe_adaptor(adaptor).sha256
    assert fetched == contents(adaptor)
    adapted = load_adaptor(toy_backbone, adaptor, "published")
    expected = outputs(toy_backbone, frames)
    adapted.unload()
    load_adaptor(toy_backbone, tmp_path / "fetched", "fetched")
    assert equal(outputs(toy_backbone, frames), expected)


def test_a_dry_run_needs_no_network_and_uploads_nothing(
    adaptor: Path, hub: ToyHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    publication = publish_adaptor(adaptor, REPOSITORY, dry_run=True)
    assert set(publication.files) == NAMES
    assert publication.revision is None
    assert hub.repositories == {}


def test_a_new_repository_is_public_only_on_request(adaptor: Path, hub: ToyHub, api: HfApi) -> None:
    publish_adaptor(adaptor, REPOSITORY, public=True, api=api)
    assert hub.private == {REPOSITORY: False}


def damage_tensors(folder: Path) -> None:
    change_tensors(folder, lambda t: t.update({name: tensor + 1 for name, tensor in t.items()}))


def test_nothing_is_uploaded_of_an_adaptor_that_does_not_verify(adaptor: Path, hub: ToyHub, api: HfApi) -> None:
    damage_tensors(adaptor)
    with pytest.raises(AdaptorFileError, match="do not give the sha256"):
        publish_adaptor(adaptor, REPOSITORY, api=api)
    assert (hub.repositories, hub.private) == ({}, {})


def test_a_link_does_not_carry_another_file_to_the_hub(adaptor: Path, hub: ToyHub, api: HfApi, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("private")
    (adaptor / CARD).unlink()
    (adaptor / CARD).symlink_to(tmp_path / "secret")
    with pytest.raises(AdaptorFileError, match="symbolic link"):
        publish_adaptor(adaptor, REPOSITORY, api=api)
    assert hub.repositories == {}


def test_other_files_are_neither_published_nor_fetched(adaptor: Path, hub: ToyHub, api: HfApi, tmp_path: Path) -> None:
    (adaptor / "patients.csv").write_text("private")
    publish_adaptor(adaptor, REPOSITORY, api=api)
    assert set(next(iter(hub.repositories[REPOSITORY].values()))) == NAMES
    hub.commit(REPOSITORY, {"adaptor_model.bin": b"pickle", "run.py": b"code", "../escape.json": b"{}"})
    fetch_adaptor(REPOSITORY, tmp_path / "fetched", api=api)
    assert set(contents(tmp_path / "fetched")) == NAMES | {ORIGIN_FILE}
    assert set(hub.downloaded) == NAMES


def test_a_pinned_revision_stays_what_it_was(
    adaptor: Path, hub: ToyHub, api: HfApi, toy_backbone: ReconstructionBackbone, tmp_path: Path
) -> None:
    pinned = publish_adaptor(adaptor, REPOSITORY, api=api)
    save_toy_adaptor(toy_backbone, tmp_path / "newer", seed=1)
    newer = publish_adaptor(tmp_path / "newer", REPOSITORY, api=api)
    assert newer.revision != pinned.revision
    fetch_adaptor(REPOSITORY, tmp_path / "pinned", revision=pinned.revision, api=api)
    fetch_adaptor(REPOSITORY, tmp_path / "latest", api=api)
    assert describe_adaptor(tmp_path / "pinned").sha256 == pinned.description.sha256
    assert describe_adaptor(tmp_path / "latest").sha256 == newer.description.sha256


def test_another_sha256_than_the_expected_is_refused(adaptor: Path, hub: ToyHub, api: HfApi, tmp_path: Path) -> None:
    expected = publish_adaptor(adaptor, REPOSITORY, api=api).description.sha256
    with pytest.raises(HubError, match="not the adaptor that was expected"):
        fetch_adaptor(REPOSITORY, tmp_path / "fetched", sha256="0" * 64, api=api)
    assert traces(tmp_path) == []
    fetch_adaptor(REPOSITORY, tmp_path / "fetched", sha256=expected.upper(), api=api)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_tensors, "do not give the sha256"),
        (lambda folder: (folder / TENSORS).write_bytes(b"\x80pickle"), "not a whole safetensors file"),
        (lambda folder: (folder / CONFIG).write_text("{}"), "must hold exactly"),
        (lambda folder: (folder / CONFIG).unlink(), "holds no adaptor_config.json"),
        (lambda folder: (folder / TENSORS).write_bytes(bytes(2 * 10**6)), "2.0 MB, more than the 1 allowed"),
    ],
)
def test_a_damaged_incomplete_or_large_repository_leaves_nothing_behind(
    damage, message: str, adaptor: Path, hub: ToyHub, api: HfApi, tmp_path: Path
) -> None:
    damage(adaptor)
    hub.commit(REPOSITORY, contents(adaptor))
    with pytest.raises(HubError, match=message) as caught:
        fetch_adaptor(REPOSITORY, tmp_path / "fetched", most_megabytes=1, api=api)
    assert REPOSITORY in str(caught.value)
    assert traces(tmp_path) == []


def test_too_large_an_adaptor_is_refused_before_it_is_downloaded(
    adaptor: Path, hub: ToyHub, api: HfApi, tmp_path: Path
) -> None:
    publish_adaptor(adaptor, REPOSITORY, api=api)
    with pytest.raises(HubError, match=r"more than the 0\.001 allowed"):
        fetch_adaptor(REPOSITORY, tmp_path / "fetched", most_megabytes=0.001, api=api)
    assert hub.downloaded == []


def test_an_existing_folder_is_not_overwritten(adaptor: Path, hub: ToyHub, api: HfApi) -> None:
    before = contents(adaptor)
    publish_adaptor(adaptor, REPOSITORY, api=api)
    with pytest.raises(AdaptorFileError, match="exists already"):
        fetch_adaptor(REPOSITORY, adaptor, api=api)
    assert contents(adaptor) == before


@pytest.mark.parametrize("repository", ["clinic/unknown", "../../etc", "light", "clinic/light/more", "https://x/y", ""])
def test_repositories_that_cannot_be_found_are_errors_that_say_what_to_check(
    repository: str, hub: ToyHub, api: HfApi, tmp_path: Path
) -> None:
    with pytest.raises(HubError, match=r"must be owner/name|check the name"):
        fetch_adaptor(repository, tmp_path / "fetched", api=api)
    assert traces(tmp_path) == []


def test_a_folder_of_this_machine_is_no_repository_but_the_way_without_one_is_told(
    adaptor: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        HubError, match=r"must be owner/name.*copy of the adaptor's folder.*'retina-adapt adaptors export'"
    ):
        publish_adaptor(adaptor, str(tmp_path / "shared"), dry_run=True)


def test_an_unknown_revision_is_an_error(adaptor: Path, hub: ToyHub, api: HfApi, tmp_path: Path) -> None:
    publish_adaptor(adaptor, REPOSITORY, api=api)
    with pytest.raises(HubError, match="check the name and the revision"):
        fetch_adaptor(REPOSITORY, tmp_path / "fetched", revision="f" * 40, api=api)


def test_without_network_the_error_says_so(adaptor: Path, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        fetch_adaptor(REPOSITORY, tmp_path / "fetched")
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        publish_adaptor(adaptor, REPOSITORY)


def test_a_full_disk_is_not_blamed_on_the_network(adaptor: Path, hub: ToyHub, api: HfApi, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    publish_adaptor(adaptor, REPOSITORY, api=api)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            fetch_adaptor(REPOSITORY, tmp_path / "fetched", api=api)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert traces(tmp_path) == []


def test_a_forged_adaptor_is_caught_by_the_sha256_that_came_by_another_way(
    adaptor: Path, hub: ToyHub, api: HfApi, tmp_path: Path
) -> None:
    known = describe_adaptor(adaptor).sha256
    change_config(adaptor, lambda c: c["metadata"].update(intended_use="diagnosis"))
    reseal(adaptor)
    hub.commit(REPOSITORY, contents(adaptor))
    with pytest.raises(HubError, match="not the adaptor that was expected"):
        fetch_adaptor(REPOSITORY, tmp_path / "fetched", sha256=known, api=api)
