"""`retina-adapt app`: enhance photographs in a browser, on this machine only. Needs the extra `app`."""

from retina_adapt.app.launch import AppStartError, run_app
from retina_adapt.app.server import create_app
from retina_adapt.app.studio import Studio, StudioError

__all__ = ["AppStartError", "Studio", "StudioError", "create_app", "run_app"]
