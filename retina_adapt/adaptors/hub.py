"""Adaptors on the Hugging Face Hub, or on any server that speaks its protocol (environment variable HF_ENDPOINT).

Nothing here runs unless it is called. A fetch takes one commit, identified by its hash, and from it three files by
name and no others; only a complete and undamaged adaptor is put in place.
"""

import errno
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi

from retina_adapt.adaptors.description import AdaptorDescription
from retina_adapt.adaptors.errors import AdaptorFileError
from retina_adapt.adaptors.files import read_adaptor
from retina_adapt.adaptors.layout import ADAPTOR_FILES
from retina_adapt.adaptors.single_file import read_card
from retina_adapt.atomic_files import write_folder_atomically
from retina_adapt.errors import RetinaAdaptError

ORIGIN_FILE = "adaptor_origin.json"
MOST_MEGABYTES = 200.0
# Errors of this machine's disk, which no network raises.
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}


class HubError(RetinaAdaptError):
    """The Hub cannot be reached, refuses, or offers something other than the adaptor asked for."""


@dataclass(frozen=True)
class AdaptorOrigin:
    """Where a fetched adaptor comes from, as recorded in its folder's adaptor_origin.json.

    Attributes:
        repository: `owner/name`.
        revision: hash of the commit, 40 hexadecimal digits.
        sha256: sha256 of the adaptor.
    """

    repository: str
    revision: str
    sha256: str


@dataclass(frozen=True)
class Publication:
    """What was uploaded, or would be.

    Attributes:
        repository: `owner/name`.
        files: sizes in bytes by file name.
        description: the adaptor's description.
        revision: hash of the new commit; None if nothing was uploaded.
    """

    repository: str
    files: dict[str, int]
    description: AdaptorDescription
    revision: str | None


def publish_adaptor(
    folder: str | Path, repository: str, *, dry_run: bool = False, public: bool = False, api: HfApi | None = None
) -> Publication:
    """Upload an adaptor's three files to a model repository in one commit, creating the repository if needed.

    The adaptor is verified before anything is sent.

    Args:
        dry_run: verify and list, without using the network.
        public: make a new repository public. An existing one stays as it is.
        api: the Hub; by default the one at HF_ENDPOINT, with the token from HF_TOKEN or `hf auth login`.

    Raises:
        AdaptorFileError: the adaptor is damaged or incomplete, or one of its files is a symbolic link.
        HubError: `repository` is not a valid name, or the Hub cannot be reached or refuses.
    """
    folder = Path(folder)
    _require_repository_name(repository)
    if folder.is_file():
        raise AdaptorFileError(f"{folder}: publish the adaptor's folder; its card becomes the repository's page")
    for name in ADAPTOR_FILES:
        # A link could upload any other file on this machine.
        if (folder / name).is_symlink():
            raise AdaptorFileError(f"{folder / name}: is a symbolic link; publish a folder that holds the files itself")
    description, _ = read_adaptor(folder)
    read_card(folder)
    files = {name: (folder / name).read_bytes() for name in ADAPTOR_FILES}
    revision = None
    if not dry_run:
        api = api or HfApi()
        with _hub_errors(repository):
            api.create_repo(repository, private=not public, exist_ok=True)
            commit = api.create_commit(
                repository,
                [CommitOperationAdd(name, content) for name, content in files.items()],
                commit_message=f"Adaptor {description.metadata.name}, sha256 {description.sha256[:12]}",
            )
        revision = commit.oid
    sizes = {name: len(content) for name, content in files.items()}
    return Publication(repository, sizes, description, revision)


def fetch_adaptor(
    repository: str,
    folder: str | Path,
    *,
    revision: str = "main",
    sha256: str | None = None,
    most_megabytes: float = MOST_MEGABYTES,
    api: HfApi | None = None,
) -> AdaptorOrigin:
    """Download an adaptor to a new folder, which appears only once every check has passed.

    `adaptor_origin.json` in the folder records repository, commit and sha256.

    Args:
        repository: `owner/name`.
        revision: a commit's hash, or the name of a branch or tag, which is first resolved to one.
        sha256: the adaptor's expected sha256, known from another source.
        most_megabytes: refuse larger adaptors before downloading them.
        api: the Hub, as in `publish_adaptor`.

    Raises:
        HubError: `repository` is not a valid name, the Hub cannot be reached, refuses or lacks a file, or its adaptor
            is too large, is damaged or has another sha256.
        AdaptorFileError: `folder` exists already.
        OSError: the disk is full or not writable.
    """
    folder = Path(folder)
    _require_repository_name(repository)
    if folder.exists():
        raise AdaptorFileError(f"{folder}: exists already; give a new folder")
    api = api or HfApi()
    with _hub_errors(repository):
        info = api.model_info(repository, revision=revision, files_metadata=True)
    commit = info.sha
    # A server that answers with another commit than the one asked for cannot be trusted with the rest.
    if (
        commit is None
        or not re.fullmatch("[0-9a-f]{40}", commit)
        or (re.fullmatch("[0-9a-f]{40}", revision) and commit != revision)
    ):
        raise HubError(f"{repository}: the revision {revision!r} was resolved to {commit!r}, which is not that commit")
    _require_acceptable_sizes(repository, {file.rfilename: file.size for file in info.siblings or []}, most_megabytes)
    with tempfile.TemporaryDirectory() as temporary, write_folder_atomically(folder) as new:
        for name in ADAPTOR_FILES:
            with _hub_errors(repository):
                downloaded = api.hf_hub_download(repository, name, revision=commit, local_dir=temporary)
            shutil.copyfile(downloaded, new / name)
        _require_acceptable_sizes(
            repository, {path.name: path.stat().st_size for path in new.iterdir()}, most_megabytes
        )
        try:
            description, _ = read_adaptor(new)
        except AdaptorFileError as error:
            raise HubError(f"{repository} at {commit}: does not hold a whole adaptor: {error}") from error
        if sha256 is not None and description.sha256 != sha256.lower():
            raise HubError(
                f"{repository} at {commit}: the adaptor's sha256 is {description.sha256}, not {sha256}; it is not the "
                "adaptor that was expected"
            )
        origin = AdaptorOrigin(repository, commit, description.sha256)
        (new / ORIGIN_FILE).write_text(json.dumps(asdict(origin), indent=2) + "\n", encoding="utf-8")
    return origin


def _require_repository_name(repository: str) -> None:
    part = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
    if not re.fullmatch(f"{part}/{part}", repository):
        raise HubError(
            f"'{repository}' is not a repository's name; it must be owner/name. Without a server, share a copy of the "
            "adaptor's folder, or the single file that 'retina-adapt adaptors export' writes"
        )


def _require_acceptable_sizes(repository: str, sizes: dict[str, int | None], most_megabytes: float) -> None:
    missing = [name for name in ADAPTOR_FILES if sizes.get(name) is None]
    if missing:
        raise HubError(f"{repository}: holds no {', '.join(missing)}; it is not an adaptor of retina_adapt")
    megabytes = sum(sizes[name] or 0 for name in ADAPTOR_FILES) / 1e6
    if megabytes > most_megabytes:
        raise HubError(
            f"{repository}: its adaptor takes {megabytes:,.1f} MB, more than the {most_megabytes:g} allowed; raise the "
            "limit if that is expected"
        )


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the client's own errors, its HTTP library's, and whatever a proxy's answer causes
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise
        message = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise HubError(
            f"{repository}: {message} (check the name and the revision, the network, HF_HUB_OFFLINE, and the token: "
            "HF_TOKEN or 'hf auth login')"
        ) from error
