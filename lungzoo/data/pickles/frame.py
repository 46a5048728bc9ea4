"""From stand-ins to the columns of a table: what pandas and numpy would have rebuilt, as plain values.

An array is described by where its bytes lie; its size is checked against them, and nothing is allocated for it.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

from lungzoo.data.pickles.allowed import Made, Name, Refused, Span, described, shown
from lungzoo.data.pickles.machine import Machine

ITEM_BYTES = {"b1": 1, "i1": 1, "i2": 2, "i4": 4, "i8": 8, "u1": 1, "u2": 2, "u4": 4, "u8": 8}
ITEM_BYTES |= {"f2": 2, "f4": 4, "f8": 8}
MAX_COLUMNS = 1000
MAX_DIMENSIONS = 8
# The same array may stand in many cells; a small file must not stand for a huge table.
MAX_REPEATS = 4
FREE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Array:
    """An array in the pickle: numbers that lie in a span, or a list of objects."""

    shape: tuple[int, ...]
    dtype: str
    fortran: bool
    content: Any

    @property
    def is_objects(self) -> bool:
        return self.dtype == "O"


class TableBuilder:
    """Turns a pickled frame into what `describe` returns.

    Args:
        machine: where the bytes of short arrays can be read.
        size_bytes: size of the pickle.
    """

    def __init__(self, machine: Machine, size_bytes: int) -> None:
        self._machine = machine
        self._size_bytes = size_bytes
        self._arrays: list[list[Any]] = []
        self._numbers: dict[int, int] = {}
        self._cell_bytes = 0

    def describe(self, frame: Any) -> dict[str, Any]:
        """Return the table as JSON-able values.

        Returns:
            `rows`: how many; `arrays`: for each, in the answer or in the pickle, offset, bytes, dtype, shape and
            whether in Fortran order; `columns`: name -> cells, each ["text", str], ["array", number in `arrays`] or
            ["other", what it is].
        """
        names, rows, blocks = self._parts(frame)
        if len(set(names)) != len(names) or len(names) > MAX_COLUMNS:
            raise Refused(f"has {len(names)} columns, of which {len(names) - len(set(names))} occur twice")
        columns: dict[str, Any] = {}
        for values, placement in blocks:
            places = self._places(placement, len(names))
            for place, cells in zip(places, self._block(values, len(places), rows), strict=True):
                if names[place] in columns:
                    raise Refused(f"fills the column {shown(names[place])} twice")
                columns[names[place]] = cells
        empty = [shown(name) for name in names if name not in columns]
        if empty:
            raise Refused(f"has no values for the columns {', '.join(empty[:5])}")
        return {"rows": rows, "arrays": self._arrays, "columns": {name: columns[name] for name in names}}

    def _parts(self, frame: Any) -> tuple[list[str], int, list[tuple[Any, Any]]]:
        """Return column names, number of rows, and (values, placement) of each block."""
        state = _made(frame, "frame", "a pandas frame").state
        if type(state) is not dict:
            raise Refused("holds a frame without a state")
        manager = _made(state.get("_mgr", state.get("_data")), "manager", "the blocks of a frame")
        if manager.state is None:
            axes, blocks = self._made_parts(manager)
        else:
            axes, blocks = self._state_parts(manager.state)
        if type(axes) is not list or len(axes) != 2:
            raise Refused("holds a frame whose axes are not two")
        return self._names(axes[0]), self._length(axes[1]), blocks

    @staticmethod
    def _made_parts(manager: Made) -> tuple[Any, list[tuple[Any, Any]]]:
        """pandas 1.3 and later: BlockManager(blocks, axes)."""
        if len(manager.args) < 2 or type(manager.args[0]) not in (tuple, list):
            raise Refused("holds a frame without blocks")
        blocks = [_made(block, "block", "a block of a frame") for block in manager.args[0]]
        if any(len(block.args) < 2 for block in blocks):
            raise Refused("holds a block without values or place")
        return manager.args[1], [(block.args[0], block.args[1]) for block in blocks]

    @staticmethod
    def _state_parts(state: Any) -> tuple[Any, list[tuple[Any, Any]]]:
        """pandas up to 1.2: a tuple whose fourth entry is {"0.14.1": {"axes": …, "blocks": …}}."""
        last = state[3] if type(state) is tuple and len(state) >= 4 else None
        parts = last.get("0.14.1") if type(last) is dict else None
        blocks = parts.get("blocks") if type(parts) is dict else None
        if type(parts) is not dict or type(blocks) is not list or any(type(block) is not dict for block in blocks):
            raise Refused("holds a frame in a form older than pandas 1.0")
        return parts.get("axes"), [(block.get("values"), block.get("mgr_locs")) for block in blocks]

    def _index(self, index: Any) -> dict[str, Any]:
        args = _made(index, "index", "an index").args
        if len(args) != 2 or type(args[0]) is not Name or type(args[1]) is not dict:
            raise Refused("holds an index without data")
        return args[1]

    def _names(self, index: Any) -> list[str]:
        names = self._texts(self._index(index).get("data"))
        if not all(type(name) is str for name in names):
            raise Refused("names a column by something other than text")
        return names

    def _length(self, index: Any) -> int:
        data = self._index(index)
        if "data" in data:
            if _is_texts(data["data"]):
                return len(self._texts(data["data"]))
            return self._array(data["data"]).shape[0]
        start, stop, step = (data.get(key) for key in ("start", "stop", "step"))
        if not (type(start) is int and type(stop) is int and type(step) is int and step):
            raise Refused("holds rows without a count")
        return len_of_range(start, stop, step)

    def _places(self, placement: Any, columns: int) -> list[int]:
        """Return which columns a block fills: a slice, or an array of integers."""
        if type(placement) is Made and placement.what == "slice":
            if not all(type(end) is int for end in placement.args) or len(placement.args) != 3 or not placement.args[2]:
                raise Refused("places a block by a slice that is none")
            if len_of_range(*placement.args) > columns:
                raise Refused("places a block outside the columns")
            places = list(range(*placement.args))
        else:
            places = self._integers(self._array(placement))
        if not all(0 <= place < columns for place in places):
            raise Refused("places a block outside the columns")
        return places

    def _integers(self, array: Array) -> list[int]:
        if array.dtype != "<i8" or len(array.shape) != 1 or type(array.content) is not Span:
            raise Refused("places a block by something other than integers")
        return list(struct.unpack(f"<{array.shape[0]}q", self._machine.bytes_of(array.content)))

    def _block(self, values: Any, columns: int, rows: int) -> list[list[list[Any]]]:
        """Return the cells of each column of a block."""
        if _is_texts(values):
            texts = self._texts(values)
            if columns != 1 or len(texts) != rows:
                raise Refused(f"has a column of {len(texts)} texts in a table of {rows} rows")
            return [[self._cell(text) for text in texts]]
        array = self._array(values)
        if array.shape != (columns, rows):
            raise Refused(f"has a block of shape {array.shape} for {columns} columns of {rows} rows")
        if not array.is_objects:
            return [[["other", f"a number of type {array.dtype}"]] * rows for _ in range(columns)]
        return [[self._cell(item) for item in array.content[n * rows : (n + 1) * rows]] for n in range(columns)]

    def _cell(self, value: Any) -> list[Any]:
        if type(value) is str:
            return ["text", value]
        if type(value) is Made and value.what in ("array", "buffer"):
            return ["array", self._array_number(value)]
        return ["other", described(value)]

    def _array_number(self, made: Made) -> int:
        """Return the place of an array in the list of arrays; one that several cells share is listed once."""
        if id(made) not in self._numbers:
            array = self._array(made)
            if array.is_objects:
                raise Refused("has a cell that is an array of objects; numbers are allowed")
            span = array.content
            facts = [span.in_answer, span.offset, span.length, array.dtype, list(array.shape), array.fortran]
            self._numbers[id(made)] = len(self._arrays)
            self._arrays.append(facts)
        number = self._numbers[id(made)]
        self._cell_bytes += self._arrays[number][2]
        if self._cell_bytes > MAX_REPEATS * self._size_bytes + FREE_BYTES:
            raise Refused("repeats the same arrays until the table is many times larger than the file")
        return number

    def _array(self, thing: Any) -> Array:
        """Check a pickled numpy array; raises Refused unless its size is that of the bytes it comes with."""
        if type(thing) is Made and thing.what == "buffer":
            array = self._from_buffer(thing.args)
        else:
            array = self._from_state(_made(thing, "array", "a numpy array").state)
        items = math.prod(array.shape)
        if array.is_objects:
            if type(array.content) is not list or len(array.content) != items:
                raise Refused(f"has an array of shape {_shape(array.shape)} without as many objects")
            return array
        item_bytes = ITEM_BYTES[array.dtype[1:]]
        there = array.content.length if type(array.content) is Span else 0
        if items * item_bytes != there:
            raise Refused(
                f"has an array of shape {_shape(array.shape)} and type {array.dtype}, {items * item_bytes:,} bytes, "
                f"where {there:,} bytes are there"
            )
        return array

    def _from_buffer(self, args: tuple[Any, ...]) -> Array:
        """numpy's _frombuffer(bytes, dtype, shape, order)."""
        if len(args) != 4 or args[3] not in ("C", "F"):
            raise Refused("has an array without bytes, type, shape and order")
        return Array(_checked_shape(args[2]), _dtype(args[1]), args[3] == "F", args[0])

    def _from_state(self, state: Any) -> Array:
        """ndarray's state: (version, shape, dtype, Fortran order, content)."""
        if type(state) is not tuple or len(state) != 5 or state[0] != 1 or type(state[3]) not in (bool, int):
            raise Refused("has an array without a state")
        return Array(_checked_shape(state[1]), _dtype(state[2]), bool(state[3]), state[4])

    def _texts(self, thing: Any) -> list[Any]:
        """Return a one-dimensional array of objects, or of Arrow's strings, as a list."""
        if type(thing) is Made and thing.what == "arrow strings":
            return self._arrow_texts(thing)
        array = self._array(self._backing(thing) if _is_texts(thing) else thing)
        if not array.is_objects or len(array.shape) != 1:
            raise Refused("has names that are no list of text")
        return list(array.content)

    @staticmethod
    def _backing(strings: Made) -> Any:
        """Return the array of objects that pandas keeps text in without Arrow: its state also has the type."""
        state = strings.state if type(strings.state) is tuple else ()
        arrays = [part for part in state if type(part) is Made and part.what == "array"]
        if len(arrays) != 1:
            raise Refused("has text without an array")
        return arrays[0]

    def _arrow_texts(self, strings: Made) -> list[str | None]:
        """Arrow's layout: n + 1 offsets into one run of UTF-8, and a bit per text that says whether it is there.

        Source: Arrow columnar format, variable-size binary layout.
        """
        state = strings.state if type(strings.state) is dict else {}
        restored = _made(state.get("_pa_array"), "arrow array", "an Arrow array").args
        data = restored[0] if len(restored) == 1 else None
        if type(data) is not tuple or len(data) < 5 or type(data[4]) is not list or len(data[4]) != 3:
            raise Refused("has an Arrow array that is not one run of text")
        kind = _made(data[0], "arrow type", "an Arrow type").args
        form = {("large_string",): "q", ("string",): "i"}.get(kind if all(type(k) is str for k in kind) else ())
        count, start = data[1], data[3]
        if form is None or type(count) is not int or type(start) is not int or start != 0 or count < 0:
            raise Refused("has an Arrow array that is not one whole run of text")
        valid, offsets, text = (self._arrow_buffer(buffer) for buffer in data[4])
        width = struct.calcsize(f"<{form}")
        if len(offsets) < (count + 1) * width or (valid and len(valid) * 8 < count):
            raise Refused(f"has {count:,} texts in an Arrow array of {len(offsets):,} bytes")
        ends = struct.unpack_from(f"<{count + 1}{form}", offsets)
        there = [not valid or bool(valid[n // 8] >> (n % 8) & 1) for n in range(count)]
        return [_text(text, ends[n], ends[n + 1]) if there[n] else None for n in range(count)]

    def _arrow_buffer(self, buffer: Any) -> bytes:
        if buffer is None:
            return b""
        args = _made(buffer, "arrow buffer", "an Arrow buffer").args
        if len(args) != 1 or type(args[0]) is not Span:
            raise Refused("has an Arrow buffer without bytes")
        return self._machine.bytes_of(args[0])


def len_of_range(start: int, stop: int, step: int) -> int:
    """Return how many numbers a range has; `len` fails above 2⁶³."""
    return max(0, (stop - start + step - (1 if step > 0 else -1)) // step)


def _is_texts(thing: Any) -> bool:
    return type(thing) is Made and thing.what in ("arrow strings", "list of strings")


def _text(data: bytes, start: int, end: int) -> str:
    if not 0 <= start <= end <= len(data):
        raise Refused("has an Arrow array whose texts lie outside its bytes")
    try:
        return data[start:end].decode()
    except UnicodeDecodeError:
        raise Refused("has an Arrow array whose text does not decode") from None


def _made(thing: Any, what: str, expected: str) -> Made:
    if type(thing) is not Made or thing.what != what:
        raise Refused(f"holds {described(thing)} where {expected} is expected")
    return thing


def _checked_shape(shape: Any) -> tuple[int, ...]:
    if (
        type(shape) is not tuple
        or not 1 <= len(shape) <= MAX_DIMENSIONS
        or not all(type(side) is int and 0 <= side < 2**48 for side in shape)
    ):
        raise Refused("has an array whose shape is no short row of sizes")
    return shape


def _dtype(thing: Any) -> str:
    """Return a type such as "<f8", or "O" for objects; raises Refused for any other kind."""
    made = _made(thing, "dtype", "a numpy dtype")
    code = made.args[0] if made.args else None
    state = made.state
    if type(code) is not str or type(state) is not tuple or len(state) < 5 or state[2:5] != (None, None, None):
        raise Refused("has an array of a type with parts")
    if code in ("O8", "O4", "O"):
        return "O"
    if code not in ITEM_BYTES or state[1] not in ("<", ">", "|", "="):
        raise Refused(f"has an array of type {shown(code)}; allowed: {', '.join(ITEM_BYTES)}, O8")
    order: str = state[1]
    return order.replace("=", "<") + code


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
