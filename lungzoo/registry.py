"""One registry class for every kind of thing that can be added: by a file, a row, or another package.

A registry fills itself on first use: it imports the modules of its package (which load no Keras at import)
and then the entry points of the group `lungzoo.<kinds>`, such as `lungzoo.encoders` and `lungzoo.losses`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

from lungzoo.errors import LungzooError, UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to entries of one kind.

    Args:
        kind: singular field term, used in messages; its plural names the entry-point group.
        package: dotted name of the package, or the one module, whose import registers entries.
        see: command that lists the entries, for error messages.
    """

    def __init__(self, kind: str, package: str, see: str = "") -> None:
        self.kind = kind
        self._package = package
        self._see = see
        self._entries: dict[str, T] = {}
        self._filled = False
        self._failure: Exception | None = None

    @property
    def group(self) -> str:
        """The entry-point group under which other packages add entries."""
        return f"lungzoo.{self.kind.replace(' ', '_')}{'es' if self.kind.endswith('s') else 's'}"

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds its subject under `name`; raises LungzooError if the name is taken."""

        def add(entry: T) -> T:
            self.add(name, entry)
            return entry

        return add

    def add(self, name: str, entry: T) -> None:
        """Add one entry; raises LungzooError if the name is taken."""
        if name in self._entries:
            raise LungzooError(f"The {self.kind} '{name}' is registered twice. Names must be unique.")
        self._entries[name] = entry

    def get(self, name: str) -> T:
        """Return the entry; raises UnknownNameError with the nearest name."""
        self._fill()
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries, self._see)
        return self._entries[name]

    def names(self, pattern: str = "*") -> list[str]:
        """Return the sorted names that match a shell-style pattern."""
        self._fill()
        return sorted(name for name in self._entries if fnmatchcase(name, pattern))

    def items(self) -> Iterator[tuple[str, T]]:
        """Iterate over (name, entry), sorted by name."""
        return ((name, self._entries[name]) for name in self.names())

    def __contains__(self, name: object) -> bool:
        self._fill()
        return name in self._entries

    def _fill(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._filled:
            return
        self._filled = True
        try:
            self._import_modules()
            self._load_entry_points()
        except Exception as error:
            # A second look must not find a half-filled registry and call the rest of the names unknown.
            self._failure = error
            raise

    def _import_modules(self) -> None:
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(getattr(package, "__path__", [])):
            importlib.import_module(f"{self._package}.{module.name}")

    def _load_entry_points(self) -> None:
        from importlib.metadata import entry_points

        for point in entry_points(group=self.group):
            try:
                self.add(point.name, point.load())
            except Exception as error:
                package = point.dist.name if point.dist else point.value
                raise LungzooError(
                    f"The {self.kind} '{point.name}' of the installed package '{package}' does not load: "
                    f"{error}. Update or uninstall that package."
                ) from error
