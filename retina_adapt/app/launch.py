"""Start the app on this machine."""

import os
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn

from retina_adapt.app.server import create_app
from retina_adapt.app.studio import Studio
from retina_adapt.embedded import adaptor_folder
from retina_adapt.enhancement import Enhancer
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.report import identify_adaptor, identify_backbone

HOST = "127.0.0.1"


class AppStartError(RetinaAdaptError):
    """The app cannot be started."""


def run_app(
    *,
    adaptors: Sequence[str | Path | tuple[str | None, str | Path]],
    backbone: str | Path,
    port: int = 8765,
    device: str = "cpu",
    open_browser: bool = True,
    announce: Callable[[str], None] = print,
) -> None:
    """Load the models and serve the app to this machine until interrupted.

    Args:
        adaptors: embedded names or folders to choose from; a pair of a name and one of these gives it that name, or
            its own if the name is None.
        backbone: an embedded name or a folder.
        port: the port to listen on; 0 takes a free one.
        device: cpu, cuda, mps, …
        open_browser: whether to open the page in the user's browser.
        announce: called with the page's address once it can be opened.

    Raises:
        UnknownModelError, BackboneFileError, AdaptorFileError: a model cannot be loaded.
        AdaptorNameError: two adaptors have the same name, or a name cannot be used.
        AppStartError: the port cannot be used.
    """
    studio = load_studio(adaptors, backbone, device)
    try:
        server = uvicorn.Server(uvicorn.Config(create_app(studio), log_level="warning", server_header=False))
        with _listening_socket(port) as listener, _ended_by_signals(server):
            address = f"http://{HOST}:{listener.getsockname()[1]}/"
            announce(address)
            if open_browser:
                webbrowser.open(address)
            server.run(sockets=[listener])
    finally:
        studio.close()


def load_studio(
    adaptors: Sequence[str | Path | tuple[str | None, str | Path]], backbone: str | Path, device: str
) -> Studio:
    """A studio with the backbone and all adaptors loaded; errors as for `run_app`."""
    enhancer = Enhancer.from_pretrained(backbone, device=device)
    identities = {}
    for chosen in adaptors:
        chosen_name, adaptor = chosen if isinstance(chosen, tuple) else (None, chosen)
        name = enhancer.load_adaptor(adaptor, chosen_name)
        identities[name] = identify_adaptor(adaptor_folder(adaptor), name)
    return Studio(enhancer, identify_backbone(enhancer.backbone, Path(backbone).name), identities)


@contextmanager
def _ended_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Shut the server down in order on SIGTERM, and on SIGHUP from a closed terminal: no photograph is left behind.

    While the server runs, it handles SIGTERM itself; afterwards it passes the signal on to the handler set here.
    """

    def end(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # A signal that `nohup` has switched off stays off; and Python allows handlers in the main thread only.
    in_main_thread = threading.current_thread() is threading.main_thread()
    heard = [number for number in numbers if in_main_thread and signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listening_socket(port: int) -> socket.socket:
    listener = socket.socket()
    if os.name == "posix":
        # On Windows, this would let two programs share the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise AppStartError(f"port {port} cannot be used ({error.strerror}); choose another with --port") from error
    listener.listen()
    return listener
