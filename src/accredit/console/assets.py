"""Our own style sheet and modules, in memory, under a name that changes with their content.

All of them share one digest, so that a module finds its neighbours by `./name` and a browser never mixes two versions.
"""

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"


class Assets:
    """The files of `static/`, read once."""

    def __init__(self) -> None:
        self._files = {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES}
        digest = hashlib.sha256()
        for name, data in self._files.items():
            digest.update(f"{name}\0{len(data)}\0".encode() + data)
        self._version = digest.hexdigest()[:16]

    def path(self, name: str) -> str:
        """The path at which the file is served. Raises KeyError for a name that a page misspells."""
        if name not in self._files:
            raise KeyError(name)
        return f"/console/static/{self._version}/{name}"

    async def serve(self, request: Request) -> Response:
        """Answer with the file, or 404 for a name or a version that is not this one."""
        name = request.path_params["name"]
        data = self._files.get(name)
        if data is None or request.path_params["version"] != self._version:
            return Response(status_code=404)
        return Response(data, headers={"Content-Type": _TYPES[Path(name).suffix], "Cache-Control": _FOR_EVER})
