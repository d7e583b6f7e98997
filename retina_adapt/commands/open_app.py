"""`retina-adapt app`: start the app, or say what it lacks."""

from collections.abc import Callable

from retina_adapt.commands.adaptor_choice import AdaptorChoice, parse_adaptor_choice
from retina_adapt.commands.processes import Processes
from retina_adapt.embedded import embedded_folder, embedded_names
from retina_adapt.errors import RetinaAdaptError


class MissingExtraError(RetinaAdaptError):
    """A command needs packages that are not installed."""


def run_app_or_explain(
    *,
    adaptors: list[str] | None,
    backbone: str,
    port: int,
    device: str,
    open_browser: bool,
    announce: Callable[[str], None],
) -> None:
    """Run the app until it is interrupted; arguments as of `retina_adapt.app.run_app`.

    Args:
        adaptors: each an embedded name, a path, or NAME=PATH; all embedded adaptors if None.
        device: `auto` is what accelerate finds.

    Raises:
        MissingExtraError: the extra `app` is not installed.
        DeviceError: nothing can be computed on the device.
        UnknownModelError, BackboneFileError, AdaptorFileError, AdaptorNameError, AppStartError: see `run_app`.
    """
    try:
        from retina_adapt.app import run_app
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the app needs the package {error.name}; in this package's checkout: pip install '.[app]'"
        ) from error
    found = str(Processes(device).device)
    if adaptors:
        chosen = [parse_adaptor_choice(adaptor) for adaptor in adaptors]
    else:
        chosen = [AdaptorChoice(None, str(embedded_folder("adaptors", name))) for name in embedded_names("adaptors")]
    run_app(
        adaptors=chosen,
        backbone=backbone,
        port=port,
        device=found,
        open_browser=open_browser,
        announce=announce,
    )
