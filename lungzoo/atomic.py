"""Files that a reader sees whole or not at all, whenever the writer is killed."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomic(path: Path, content: str) -> None:
    """Replace a text file in one step, after its content is on the disk; the folder must exist.

    Raises:
        OSError: it cannot be written; what was there before is intact.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
