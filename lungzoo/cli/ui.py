"""`lungzoo ui`: the MLflow pages on the recorded runs."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys

import typer

from lungzoo.errors import UsageError


def ui(
    host: str = typer.Option("127.0.0.1", help="Address to listen on."),
    port: int = typer.Option(5000, min=1, max=65535, help="Port to listen on."),
) -> None:
    """Open MLflow on the runs of this folder (or of MLFLOW_TRACKING_URI)."""
    from lungzoo.tracking.mlflow_connection import default_uri, initialise_store

    uri = default_uri()
    if uri.startswith(("http://", "https://")):
        typer.echo(f"The runs are on a server: open {uri} in a browser.")
        return
    _check_free(host, port)
    initialise_store(uri)
    typer.echo(f"MLflow on {uri}: open http://{host}:{port} in a browser; Ctrl-C ends it.")
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", host, "--port", str(port)]
    raise typer.Exit(_run_until_stopped(command))


def _run_until_stopped(command: list[str]) -> int:
    """Run the server and its own children as a group, and end the whole group with this process."""
    with subprocess.Popen(command, start_new_session=True) as server:
        try:
            return server.wait()
        except KeyboardInterrupt:
            if hasattr(os, "killpg"):
                os.killpg(server.pid, signal.SIGTERM)
            else:
                server.terminate()
            server.wait()
            return 0


def _check_free(host: str, port: int) -> None:
    """Raise UsageError unless a server could listen there now; MLflow's own leaves with 0 where it cannot."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"Port {port} on {host} is in use. Choose another with --port.") from error
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise UsageError(f"Cannot listen on port {port} of {host}: {reason}. Choose others: --host, --port.") from error
