"""The app with a toy backbone, as a studio, and served in a process of its own kind: a real server on a real port."""

import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from browser import headless_browser, require_browser
from PIL import Image
from toy_adaptors import METADATA, config_of, disturb

from retina_adapt.adaptors import attach_adaptor, save_adaptor
from retina_adapt.backbones import load_backbone, save_backbone
from retina_adapt.imaging.synthetic_fundus import draw_fundus

uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install '.[app]'")
pytest.importorskip("starlette", reason="starlette is not installed: pip install '.[app]'")


@pytest.fixture(scope="session")
def model_folders(toy_backbone_of, tmp_path_factory) -> tuple[Path, list[Path]]:
    """A toy backbone and two adaptors that change the picture."""
    folder = tmp_path_factory.mktemp("models")
    save_backbone(toy_backbone_of("kl-unet"), folder / "toy")
    for seed, name in enumerate(("light", "haze")):
        adapted = attach_adaptor(load_backbone(folder / "toy"), config_of("residual"), name)
        disturb(adapted, name, seed)
        save_adaptor(adapted, name, folder / name, METADATA)
    return folder / "toy", [folder / "light", folder / "haze"]


@pytest.fixture
def studio(model_folders) -> Iterator:
    from retina_adapt.app.launch import load_studio

    backbone, adaptors = model_folders
    loaded = load_studio(adaptors, backbone, "cpu")
    yield loaded
    loaded.close()


@pytest.fixture
def address(studio) -> Iterator[str]:
    """Where the app answers."""
    from retina_adapt.app import create_app

    server = uvicorn.Server(uvicorn.Config(create_app(studio), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="session")
def eye() -> bytes:
    """A drawn photograph, a PNG file with an EXIF block."""
    return encoded_eye("PNG")


def encoded_eye(format_name: str) -> bytes:
    pixels = np.rint(255 * draw_fundus(3, 160)[0]).astype(np.uint8)
    exif = Image.Exif()
    exif[271] = "Camera maker"
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format_name, exif=exif)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def downloads(tmp_path_factory) -> Path:
    """Where the browser puts downloads."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads) -> Iterator:
    """A headless Chromium; skips where none is installed."""
    require_browser()
    with headless_browser(downloads) as driver:
        yield driver
