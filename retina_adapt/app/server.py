"""The app's page and requests: a Starlette application around one `Studio`.

It serves only the machine that it runs on: it answers only requests addressed to 127.0.0.1 or localhost, requests that
change something must carry a header that no other site's page can send, and the pages load nothing from elsewhere.
"""

from pathlib import Path
from typing import Any

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from retina_adapt import __version__
from retina_adapt.app.studio import GoneError, LoadedPhotograph, Studio, StudioError, StudioResult
from retina_adapt.enhancement import EnhancementSettings
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.report.page import ASSETS as REPORT_ASSETS
from retina_adapt.report.page import render_photograph

ASSETS = Path(__file__).parent / "assets"
REQUEST_HEADER = "x-retina-adapt"
LARGEST_FILE = 512 * 2**20
_SCRIPTS_AND_STYLES = {
    "viewer.css": REPORT_ASSETS,
    "viewer.js": REPORT_ASSETS,
    "app.css": ASSETS,
    "app.js": ASSETS,
}
_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(studio: Studio) -> Starlette:
    """The application; the caller must close the studio."""
    routes = _Requests(studio)
    return Starlette(
        routes=[
            Route("/", routes.page),
            Route("/assets/{name}", routes.asset),
            Route("/photographs", routes.loaded, methods=["GET"]),
            Route("/photographs", routes.add, methods=["POST"]),
            Route("/photographs/{number:int}", routes.remove, methods=["DELETE"]),
            Route("/photographs/{number:int}/enhance", routes.enhance, methods=["POST"]),
            Route("/photographs/{number:int}/results/{turn:int}", routes.result),
            Route("/report.html", routes.report),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        exception_handlers={RetinaAdaptError: _refuse},
    )


class _Requests:
    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.templates = jinja2.Environment(loader=jinja2.FileSystemLoader(ASSETS), autoescape=True)

    async def page(self, _: Request) -> Response:
        backbone = self.studio.enhancer.backbone
        page = self.templates.get_template("app.html").render(
            adaptors=self.studio.adaptors,
            backbone=self.studio.backbone,
            has_denoiser=backbone.denoiser is not None,
            version=__version__,
        )
        return HTMLResponse(page, headers=_SECURITY_HEADERS)

    async def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        folder = _SCRIPTS_AND_STYLES.get(name)
        if folder is None:
            return Response(status_code=404)
        return FileResponse(folder / name, headers=_SECURITY_HEADERS)

    async def loaded(self, request: Request) -> Response:
        """The photographs in the studio, for a page that is reloaded."""
        _require_own_page(request)
        return _json({"photographs": [_shown(*item) for item in list(self.studio.photographs.items())]})

    async def add(self, request: Request) -> Response:
        _require_own_page(request)
        content = bytearray()
        async for chunk in request.stream():
            content += chunk
            if len(content) > LARGEST_FILE:
                raise StudioError(f"files of more than {LARGEST_FILE // 2**20} MB are not accepted; scale it down")
        name = request.query_params.get("name", "photograph")
        number = await run_in_threadpool(self.studio.add, name, bytes(content))
        return _json(_shown(number, self.studio.photographs[number]))

    async def enhance(self, request: Request) -> Response:
        _require_own_page(request)
        number = request.path_params["number"]
        try:
            wanted = await request.json()
            weights = {str(name): float(weight) for name, weight in wanted["weights"]}
            in_sequence = bool(wanted["in_sequence"])
            # The page sends the numbers for sampling in both modes, even if they are left empty.
            is_sampled = wanted["mode"] == "diffusion"
            settings = EnhancementSettings(
                mode=wanted["mode"],
                steps=int(wanted["steps"]) if is_sampled else None,
                seed=int(wanted["seed"]) if is_sampled else 0,
                detail=wanted["detail"],
            )
            seeds = int(wanted["seeds"]) if is_sampled else 1
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise StudioError(f"the request is not understood ({error!r}); reload the page") from error
        result = await run_in_threadpool(self.studio.enhance, number, weights, settings, seeds, in_sequence=in_sequence)
        return _json(_shown_result(number, result))

    async def result(self, request: Request) -> Response:
        path = self.studio.result_file(request.path_params["number"], request.path_params["turn"])
        return FileResponse(path, filename=path.name, headers=_SECURITY_HEADERS)

    async def report(self, _: Request) -> Response:
        path = await run_in_threadpool(self.studio.report)
        return FileResponse(path, filename="report.html", headers=_SECURITY_HEADERS)

    async def remove(self, request: Request) -> Response:
        _require_own_page(request)
        await run_in_threadpool(self.studio.remove, request.path_params["number"])
        return _json({})


def _shown(number: int, loaded: LoadedPhotograph) -> dict[str, Any]:
    """A photograph as the page shows it, with its last result, if any."""
    width, height = loaded.size
    return {
        "number": number,
        "name": loaded.name,
        "width": width,
        "height": height,
        "preview": loaded.preview,
        "doubt": loaded.doubt,
        "result": None if loaded.result is None else _shown_result(number, loaded.result),
    }


def _shown_result(number: int, result: StudioResult) -> dict[str, Any]:
    return {
        "html": render_photograph(result.entry, number),
        "download": f"/photographs/{number}/results/{result.turn}",
        "warned": bool(result.entry.reasons),
        "file": result.file.name,
    }


def _require_own_page(request: Request) -> None:
    # Another site's page cannot send a custom header without this server's consent (CORS), which it never gives.
    if request.headers.get(REQUEST_HEADER) != "1":
        raise StudioError("the request does not come from the app's own page; open the app and use it there")


async def _refuse(_: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, status_code=410 if isinstance(error, GoneError) else 400)


def _json(content: dict[str, Any], status_code: int = 200) -> Response:
    return JSONResponse(content, status_code=status_code, headers=_SECURITY_HEADERS)
