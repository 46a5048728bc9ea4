"""`lungzoo ui`: the MLflow pages on the recorded runs."""

from __future__ import annotations

import subprocess
import sys

import typer


def ui(
    host: str = typer.Option("127.0.0.1", help="Address to listen on."),
    port: int = typer.Option(5000, help="Port to listen on."),
) -> None:
    """Open MLflow on the runs of this folder (or of MLFLOW_TRACKING_URI)."""
    from lungzoo.tracking.mlflow_tracker import default_uri, initialise_store

    uri = default_uri()
    if uri.startswith(("http://", "https://")):
        typer.echo(f"The runs are on a server: open {uri} in a browser.")
        return
    initialise_store(uri)
    typer.echo(f"MLflow on {uri}: open http://{host}:{port} in a browser; Ctrl-C ends it.")
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", host, "--port", str(port)]
    raise typer.Exit(subprocess.run(command, check=False).returncode)
