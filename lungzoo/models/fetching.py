"""Pretrained encoder weights: fetched by Keras, or a clear word why they cannot be had."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.error import URLError

from lungzoo.encoders.h5_weights import check_links
from lungzoo.errors import LungzooError, WeightsUnavailable
from lungzoo.weights.hub import is_offline

_TIMEOUT_S = 30.0


@contextmanager
def fetching(encoder: str, weights: str | None) -> Iterator[None]:
    """Turn failures to fetch or read pretrained weights into WeightsUnavailable.

    Keras compares most of its files with a hash, those of the first two MobileNets with none; HDF5 files that point to
    other files are refused before it opens them. Keras downloads without a time limit; inside this block a silent
    server is given up after 30 seconds.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_S)
    try:
        with _no_downloads() if is_offline() else nullcontext(), _checked_files():
            yield
    except LungzooError:
        raise
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and "weight" not in str(error).lower():
            raise
        raise WeightsUnavailable(
            f"the {weights} weights of {encoder} in {_cache_dir()} cannot be read: {_first_line(error)} "
            "Delete the file and fetch it again."
        ) from error
    except Exception as error:
        if "URL fetch failure" not in str(error):  # what keras.utils.get_file raises, as a bare Exception
            raise
        raise WeightsUnavailable(_fetch_failure(encoder, weights, str(error))) from error
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def _no_downloads() -> Iterator[None]:
    """Make Keras's downloads fail before they open a connection."""
    from keras.src.utils import file_utils

    def refuse(url: str, *arguments: object, **settings: object) -> None:
        raise URLError("LUNGZOO_OFFLINE is set")

    before = file_utils.urlretrieve
    file_utils.urlretrieve = refuse
    try:
        yield
    finally:
        file_utils.urlretrieve = before


@contextmanager
def _checked_files() -> Iterator[None]:
    """Look at the HDF5 files that Keras's applications fetch, or find in its cache, before they are opened."""
    from keras.src.utils import file_utils

    before = file_utils.get_file

    def get_file(*arguments: Any, **settings: Any) -> str:
        path = str(before(*arguments, **settings))
        if path.endswith(".h5"):
            check_links(path)
        return path

    file_utils.get_file = get_file
    try:
        yield
    finally:
        file_utils.get_file = before


def _fetch_failure(encoder: str, weights: str | None, message: str) -> str:
    url = re.search(r"https?://\S+?(?=:?\s|:?$)", message)
    address = url.group().rstrip(":") if url else ""
    name = address.rpartition("/")[2] or "the weights file"
    why = message.partition("-- ")[2].strip() or message
    return (
        f"the {weights} weights of {encoder} could not be fetched ({why}). Go online, or put {name} "
        f"into {_cache_dir()}, or point KERAS_HOME at a folder that has it in 'models'."
    )


def _cache_dir() -> Path:
    """Where Keras keeps downloads: it reads KERAS_HOME, else uses ~/.keras."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") + "."
