"""What a pickle may name, and the inert objects that stand for it.

Unpickling calls what a file names, so a pickle is a program. Here nothing is ever imported or called: a name on this
list becomes a `Name`, a call of it a `Made` that records the arguments, and any other name ends the reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


class Refused(Exception):
    """The pickle asks for something that is not allowed, or is damaged."""


@dataclass(frozen=True)
class Kind:
    """What a pickle may do with a name.

    Args:
        makes: what a call or a new object of it is; "" for a name that is only ever an argument.
        call: it may be called (REDUCE).
        new: an object of it may be made (NEWOBJ).
        state: what was made may be given its state (BUILD), once.
    """

    makes: str = ""
    call: bool = False
    new: bool = False
    state: bool = False


_ARGUMENT = Kind()
_ARRAY = Kind("array", call=True, state=True)
_BUFFER = Kind("buffer", call=True)
_SCALAR = Kind("scalar", call=True)
_FRAME = Kind("frame", new=True, state=True)
_SLICE = Kind("slice", call=True)
_BYTES = Kind("bytes", call=True)
_RECONSTRUCTOR = Kind("reconstructed", call=True)
_STRINGS = Kind("arrow strings", new=True, state=True)
_STRING_TYPE = Kind("string type", call=True, new=True, state=True)

# Exact pairs of module and name: pandas 1.0 to 3, numpy 1 and 2; protocols 0 to 2 use Python 2's module names.
ALLOWED: Final[dict[tuple[str, str], Kind]] = {
    ("numpy", "ndarray"): _ARGUMENT,
    ("numpy", "dtype"): Kind("dtype", call=True, state=True),
    ("numpy.core.multiarray", "_reconstruct"): _ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _ARRAY,
    ("numpy.core.numeric", "_frombuffer"): _BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _BUFFER,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy._core.multiarray", "scalar"): _SCALAR,
    ("pandas", "DataFrame"): _FRAME,
    ("pandas.core.frame", "DataFrame"): _FRAME,
    ("pandas.core.internals.managers", "BlockManager"): Kind("manager", call=True, new=True, state=True),
    ("pandas._libs.internals", "_unpickle_block"): Kind("block", call=True),
    ("functools", "partial"): Kind("partial", call=True, state=True),
    ("pandas.core.internals.blocks", "new_block"): _ARGUMENT,
    ("pandas.core.indexes.base", "_new_Index"): Kind("index", call=True),
    ("pandas.core.indexes.base", "Index"): _ARGUMENT,
    ("pandas.core.indexes.numeric", "Int64Index"): _ARGUMENT,
    ("pandas.core.indexes.numeric", "UInt64Index"): _ARGUMENT,
    ("pandas.core.indexes.range", "RangeIndex"): _ARGUMENT,
    ("pandas", "Index"): _ARGUMENT,
    ("pandas", "RangeIndex"): _ARGUMENT,
    ("pandas", "StringDtype"): _STRING_TYPE,
    ("pandas.core.arrays.string_", "StringDtype"): _STRING_TYPE,
    ("pandas.arrays", "ArrowStringArray"): _STRINGS,
    ("pandas.core.arrays.string_arrow", "ArrowStringArray"): _STRINGS,
    ("pandas.core.arrays.string_arrow", "ArrowStringArrayNumpySemantics"): _STRINGS,
    ("pandas.arrays", "StringArray"): _ARGUMENT,
    ("pandas.core.arrays.string_", "StringArray"): _ARGUMENT,
    ("pandas.core.arrays.string_", "StringArrayNumpySemantics"): _ARGUMENT,
    ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"): Kind("list of strings", call=True, state=True),
    ("pyarrow.lib", "_restore_array"): Kind("arrow array", call=True),
    ("pyarrow.lib", "type_for_alias"): Kind("arrow type", call=True),
    ("pyarrow.lib", "py_buffer"): Kind("arrow buffer", call=True),
    ("builtins", "slice"): _SLICE,
    ("__builtin__", "slice"): _SLICE,
    ("builtins", "object"): _ARGUMENT,
    ("__builtin__", "object"): _ARGUMENT,
    ("builtins", "bytes"): _BYTES,
    ("__builtin__", "bytes"): _BYTES,
    ("builtins", "bytearray"): _BYTES,
    ("__builtin__", "bytearray"): _BYTES,
    ("copyreg", "_reconstructor"): _RECONSTRUCTOR,
    ("copy_reg", "_reconstructor"): _RECONSTRUCTOR,
    ("_codecs", "encode"): Kind("encoded", call=True),
}
NEW_BLOCK: Final = ("pandas.core.internals.blocks", "new_block")
OBJECT: Final = (("builtins", "object"), ("__builtin__", "object"))


class Name:
    """A name on the list. It has no behaviour."""

    __slots__ = ("kind", "pair")

    def __init__(self, pair: tuple[str, str]) -> None:
        self.pair = pair
        self.kind = ALLOWED[pair]


class Made:
    """What calling a name would have made: its arguments and, once given, its state."""

    __slots__ = ("args", "kind", "state", "what")

    def __init__(self, kind: Kind, args: tuple[Any, ...], what: str = "") -> None:
        self.kind = kind
        self.what = what or kind.makes
        self.args = args
        self.state: Any = None


class Span:
    """Bytes that lie in a file: the pickle itself, or the answer for those that had to be decoded."""

    __slots__ = ("in_answer", "length", "offset")

    def __init__(self, offset: int, length: int, in_answer: bool = False) -> None:
        self.offset = offset
        self.length = length
        self.in_answer = in_answer


class LongText:
    """Text too long to keep: the first protocols write an array's bytes as text."""

    __slots__ = ("escaped", "length", "offset")

    def __init__(self, offset: int, length: int, escaped: bool) -> None:
        self.offset = offset
        self.length = length
        self.escaped = escaped


def name_of(module: object, name: object) -> Name:
    """Return the stand-in of a name; raises Refused unless the exact pair is on the list."""
    if type(module) is not str or type(name) is not str:
        raise Refused("names a global by something that is no text")
    if (module, name) not in ALLOWED:
        raise Refused(
            f"asks for {shown(f'{module}.{name}')}, which is not on the list of what a pickled table of arrays needs"
        )
    return Name((module, name))


def call(function: object, args: object) -> Made:
    """Return the stand-in for `function(*args)`; raises Refused where the pair may not be called."""
    if type(args) is not tuple:
        raise Refused("calls something with arguments that are no tuple")
    if type(function) is Made and function.what == "partial":
        if function.state is None:
            raise Refused("calls functools.partial before it is complete")
        return Made(ALLOWED["pandas._libs.internals", "_unpickle_block"], args)
    if type(function) is not Name or not function.kind.call:
        raise Refused(f"calls {described(function)}")
    if function.kind.makes == "partial" and not (len(args) == 1 and _is_new_block(args[0])):
        raise Refused(f"calls functools.partial with {', '.join(described(arg) for arg in args[:3]) or 'nothing'}")
    if function.kind is _RECONSTRUCTOR:
        return _reconstructed(args)
    return Made(function.kind, args)


def new(cls: object, args: object) -> Made:
    """Return the stand-in for `cls.__new__(cls, *args)`; raises Refused where that is not allowed."""
    if type(cls) is not Name or not cls.kind.new or type(args) is not tuple:
        raise Refused(f"makes an object of {described(cls)}")
    return Made(cls.kind, args)


def give_state(thing: object, state: object) -> None:
    """Record an object's state; raises Refused for one that takes none or has it already."""
    if type(thing) is not Made or not thing.kind.state or thing.state is not None or state is None:
        raise Refused(f"sets the state of {described(thing)}")
    if thing.what == "partial" and not (
        type(state) is tuple
        and len(state) == 4
        and _is_new_block(state[0])
        and state[1] == ()
        and type(state[2]) is dict
        and state[2].keys() <= {"ndim"}
        and state[3] is None
    ):
        raise Refused("gives functools.partial something other than pandas' new_block and its ndim")
    thing.state = state


def described(thing: object) -> str:
    """Say what a value is, in a few words, without looking into it."""
    if type(thing) is Name:
        return ".".join(thing.pair)
    if type(thing) is Made:
        return f"a {thing.what}"
    if type(thing) in (Span, LongText):
        return "bytes"
    if type(thing) in (int, float, str, bool):
        return f"{type(thing).__name__} {shown(repr(thing)[:80])}"
    return "None" if thing is None else f"a {type(thing).__name__}"


def shown(text: str) -> str:
    """Return text from the file as it may appear in a message: one short line of printable characters."""
    printable = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[:80])
    return printable + ("…" if len(text) > 80 else "")


def _is_new_block(thing: object) -> bool:
    return type(thing) is Name and thing.pair == NEW_BLOCK


def _reconstructed(args: tuple[Any, ...]) -> Made:
    """What protocols 0 and 1 write for a new object: (class, object, None)."""
    if len(args) != 3 or type(args[1]) is not Name or args[1].pair not in OBJECT or args[2] is not None:
        raise Refused("rebuilds an object of a base other than object")
    return new(args[0], ())
