"""`accredit serve`: prepare the data folder, then run the server until a signal ends it."""

import contextlib
import errno
import os
import socket
import sys
from dataclasses import replace

import click
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.mp import MPServer

from accredit.errors import InputRefused
from accredit.installation import LINK_FILE, Prepared, prepare, write_management
from accredit.settings import Settings, explain_settings, load_settings, pass_settings_on
from accredit.telemetry import configure_logs
from accredit.workers import END_STREAMS_SIGNAL

_BACKLOG = 4_096
_HEADER_READ_MILLISECONDS = 10_000
_HTTP1_BUFFER_BYTES = 65_536
_HTTP2_HEADER_BYTES = 65_536
_STOP_SECONDS = 30


@click.command(
    epilog="\b\nSettings, from ./accredit.toml, then the data folder's, then the environment:\n\n\b\n"
    + explain_settings()
)
@click.option("--json", "as_json", is_flag=True, help="Log JSON even on a terminal.")
def serve(*, as_json: bool) -> None:
    """Run the server; on an empty data folder, set it up first."""
    settings = _with_port(load_settings())
    prepared = prepare(settings)
    management = write_management(settings)
    configure_logs(readable=False if as_json else None)
    _say(settings, prepared, management.url)
    pass_settings_on(settings)
    _server(settings).serve()


def _with_port(settings: Settings) -> Settings:
    """Take a free port for port 0, and find out now, in words, that a port is taken."""
    family = socket.AF_INET6 if ":" in settings.listen_host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.listen_host, settings.listen_port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            what = "is taken by another process" if taken else f"cannot be used: {error.strerror}"
            raise InputRefused(
                f"{settings.listen_host}:{settings.listen_port} {what}",
                next_step="set ACCREDIT_LISTEN to another address, for example 127.0.0.1:0 for a free port",
            ) from error
        port = probe.getsockname()[1]
    if settings.listen_port == port:
        return settings
    issuer = f"http://localhost:{port}" if settings.issuer == "http://localhost:0" else settings.issuer
    return replace(settings, listen_port=port, issuer=issuer)


def _say(settings: Settings, prepared: Prepared, url: str) -> None:
    if prepared.master_key_made is not None:
        click.echo(
            f"Made the master key {prepared.master_key_made}. Back it up now, apart from the data folder:\n"
            "without it nobody can open the keys of this installation.",
            err=True,
        )
    if prepared.sign_in_link is not None:
        # A one-time link is shown on a terminal only: a log that is kept would keep it.
        shown = prepared.sign_in_link if sys.stderr.isatty() else f"with the link in {settings.data / LINK_FILE}"
        click.echo(f"Sign in to the console once, within 15 minutes: {shown}", err=True)
    click.echo(f"Accredit at {url}, data in {settings.data}", err=True)


class _Server(MPServer):
    """Granian's, whose workers are told of a stop before they wait for what is in flight to end."""

    def signal_handler_interrupt(self, *args: object, **kwargs: object) -> None:
        """Have each worker end its endless streams: else they would hold it until its time is up."""
        for worker in self.wrks:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.inner.pid, END_STREAMS_SIGNAL)
        super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]  # Granian has no types here


def _server(settings: Settings) -> MPServer:
    return _Server(
        "accredit.app:create_app",
        factory=True,
        address=settings.listen_host,
        port=settings.listen_port,
        # ASGI: Granian's RSGI has no back-pressure on streams.
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        http=HTTPModes.auto,
        workers=settings.workers,
        websockets=False,
        backlog=_BACKLOG,
        # The default, 1,024 concurrent requests, would let open streams starve everything else.
        backpressure=settings.concurrent_requests,
        http1_settings=HTTP1Settings(
            header_read_timeout=_HEADER_READ_MILLISECONDS, max_buffer_size=_HTTP1_BUFFER_BYTES
        ),
        http2_settings=HTTP2Settings(max_headers_size=_HTTP2_HEADER_BYTES),
        log_enabled=False,
        respawn_failed_workers=True,
        workers_kill_timeout=_STOP_SECONDS,
    )
