"""`lungzoo ui` where it cannot listen."""

from __future__ import annotations

import re
import socket

import pytest

from lungzoo.cli.ui import ui
from lungzoo.errors import UsageError


def test_a_busy_port_is_an_error_before_anything_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        message = f"Port {port} on 127.0.0.1 is in use. Choose another with --port."
        with pytest.raises(UsageError, match=re.escape(message)):
            ui("127.0.0.1", port)
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.iterdir())


def test_an_address_of_another_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UsageError, match=r"Cannot listen on port 5000 of 192\.0\.2\.1: .*Choose others: --host"):
        ui("192.0.2.1", 5000)
