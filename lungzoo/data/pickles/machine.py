"""The stack machine of pickle protocols 0 to 5, with stand-ins in place of everything that could act.

Bytes of an array are not read: the machine notes where they lie. What it cannot need for a table of arrays (instances
by INST and OBJ, extension codes, persistent ids, buffers from elsewhere, sets, Python 2's strings) it refuses.

Source: the opcodes are those of Python's `pickletools`.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import Any, BinaryIO, Final

from lungzoo.data.pickles.allowed import LongText, Made, Refused, Span, call, described, give_state, name_of, new
from lungzoo.data.pickles.stream import Stream

MAX_OPCODES = 5_000_000
MAX_INTEGER_BYTES = 16
SHORT_TEXT_BYTES = 2**16
_MARK: Final = object()
_REFUSED: Final = {
    b"P": "PERSID (a persistent id)",
    b"Q": "BINPERSID (a persistent id)",
    b"\x82": "EXT1 (an extension code)",
    b"\x83": "EXT2 (an extension code)",
    b"\x84": "EXT4 (an extension code)",
    b"i": "INST (an instance)",
    b"o": "OBJ (an instance)",
    b"\x92": "NEWOBJ_EX (an object with keywords)",
    b"\x97": "NEXT_BUFFER (bytes from elsewhere)",
    b"\x98": "READONLY_BUFFER (bytes from elsewhere)",
    b"S": "STRING (text of Python 2)",
    b"T": "BINSTRING (text of Python 2)",
    b"U": "SHORT_BINSTRING (text of Python 2)",
    b"\x8f": "EMPTY_SET (a set)",
    b"\x90": "ADDITEMS (a set)",
    b"\x91": "FROZENSET (a set)",
}


class Machine:
    """Turns a pickle into stand-ins.

    Args:
        stream: the pickle.
        answer: where bytes go that had to be decoded; they are read back from there.
    """

    def __init__(self, stream: Stream, answer: BinaryIO) -> None:
        self._stream = stream
        self._answer = answer
        self._answered_bytes = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Read the whole pickle and return what it holds; raises Refused."""
        stream, steps = self._stream, self._table()
        for _ in range(MAX_OPCODES):
            opcode = stream.take(1)
            if opcode == b".":
                return self._finish()
            step = steps.get(opcode)
            if step is None:
                what = _REFUSED.get(opcode, f"the unknown opcode {opcode!r}")
                raise Refused(f"uses {what} at byte {stream.position - 1:,}, which a table of arrays does not need")
            step()
        raise Refused(f"has more than {MAX_OPCODES:,} steps")

    def text_at(self, offset: int, length: int, escaped: bool) -> str:
        """Decode text that lies in the pickle."""
        data = self._stream.at(offset, length)
        try:
            if escaped:
                return codecs.raw_unicode_escape_decode(data)[0]
            return codecs.utf_8_decode(data, "surrogatepass", True)[0]
        except UnicodeDecodeError:
            raise Refused(f"has text that does not decode at byte {offset:,}") from None

    def bytes_of(self, span: Span) -> bytes:
        """Return the bytes of a short span of the pickle."""
        if span.length > SHORT_TEXT_BYTES * 16:
            raise Refused("keeps names or places as bytes that are too long for them")
        if not span.in_answer:
            return self._stream.at(span.offset, span.length)
        self._answer.seek(span.offset)
        data = self._answer.read(span.length)
        self._answer.seek(self._answered_bytes)
        return data

    def _finish(self) -> Any:
        if len(self._stack) != 1:
            raise Refused(f"ends with {len(self._stack)} objects on the stack instead of one")
        left = self._stream.size_bytes - self._stream.position
        if left:
            raise Refused(f"goes on for {left:,} bytes after its end")
        return self._pop()

    def _pop(self) -> Any:
        value = self._pop_any()
        if value is _MARK:
            raise Refused("takes a mark for an object")
        return value

    def _pop_any(self) -> Any:
        if not self._stack:
            raise Refused("takes more from the stack than is there")
        return self._stack.pop()

    def _top(self, kind: type, what: str) -> Any:
        if not self._stack or type(self._stack[-1]) is not kind:
            raise Refused(f"adds to {described(self._stack[-1]) if self._stack else 'nothing'} as if it were {what}")
        return self._stack[-1]

    def _since_mark(self) -> list[Any]:
        for depth in range(len(self._stack) - 1, -1, -1):
            if self._stack[depth] is _MARK:
                values = self._stack[depth + 1 :]
                del self._stack[depth:]
                return values
        raise Refused("lacks a mark")

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._stream.take(struct.calcsize(form)))[0]

    def _line(self) -> str:
        offset, length = self._stream.line()
        if length > SHORT_TEXT_BYTES:
            raise Refused(f"has a name or number of {length:,} bytes")
        return self.text_at(offset, length, escaped=False)

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _push_text(self, offset: int, length: int, escaped: bool = False) -> None:
        if length > SHORT_TEXT_BYTES:
            self._push(LongText(offset, length, escaped))
        else:
            self._push(self.text_at(offset, length, escaped))

    def _unicode(self, form: str) -> None:
        length = self._number(form)
        self._push_text(self._stream.skip(length), length)

    def _bytes(self, form: str) -> None:
        length = self._number(form)
        self._push(Span(self._stream.skip(length), length))

    def _integer(self, form: str) -> None:
        length = self._number(form)
        if not 0 <= length <= MAX_INTEGER_BYTES:
            raise Refused(f"has an integer of {length:,} bytes")
        self._push(int.from_bytes(self._stream.take(length), "little", signed=True))

    def _integer_line(self) -> None:
        text = self._line()
        if text in ("00", "01"):
            self._push(text == "01")
            return
        self._push(self._parsed(int, text.removesuffix("L")))

    def _parsed(self, kind: Callable[[str], Any], text: str) -> Any:
        try:
            if len(text) > 40:
                raise ValueError
            return kind(text)
        except ValueError:
            raise Refused(f"has something that is no number before byte {self._stream.position:,}") from None

    def _put(self, index: int) -> None:
        if index < 0 or not self._stack or self._stack[-1] is _MARK:
            raise Refused("puts nothing into its memo")
        self._memo[index] = self._stack[-1]

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise Refused(f"asks its memo for number {index}, which was never put there")
        self._push(self._memo[index])

    def _tuple(self, count: int) -> None:
        values = [self._pop() for _ in range(count)]
        self._push(tuple(reversed(values)))

    def _set_items(self, target: dict[str, Any], items: list[Any]) -> None:
        if len(items) % 2:
            raise Refused("has a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is not str:
                raise Refused(f"has a dictionary with the key {described(key)} where text is allowed")
            target[key] = value

    def _dict(self) -> None:
        items = self._since_mark()
        made: dict[str, Any] = {}
        self._set_items(made, items)
        self._push(made)

    def _append(self) -> None:
        value = self._pop()
        self._top(list, "a list").append(value)

    def _appends(self) -> None:
        values = self._since_mark()
        self._top(list, "a list").extend(values)

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._set_items(self._top(dict, "a dictionary"), [key, value])

    def _set_many(self) -> None:
        items = self._since_mark()
        self._set_items(self._top(dict, "a dictionary"), items)

    def _global(self) -> None:
        module, name = self._line(), self._line()
        self._push(name_of(module, name))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        self._push(name_of(module, name))

    def _reduce(self) -> None:
        args, function = self._pop(), self._pop()
        made = call(function, args)
        self._push(self._bytes_made(made) if made.what in ("encoded", "bytes") else made)

    def _new(self) -> None:
        args, cls = self._pop(), self._pop()
        self._push(new(cls, args))

    def _build(self) -> None:
        state = self._pop()
        self._top(Made, "an object")
        give_state(self._stack[-1], state)

    def _bytes_made(self, made: Made) -> Span:
        """What the earlier protocols call for bytes: bytes(), bytearray(bytes), or the encoding of text."""
        if made.what == "encoded":
            return self._encoded(made)
        if not made.args:
            return Span(0, 0)
        if len(made.args) != 1 or type(made.args[0]) is not Span:
            raise Refused(f"makes bytes of {described(made.args[0])}")
        return made.args[0]

    def _encoded(self, made: Made) -> Span:
        """Text whose characters are the bytes."""
        if len(made.args) != 2 or made.args[1] != "latin1" or type(made.args[0]) not in (str, LongText):
            raise Refused("calls _codecs.encode for something other than bytes written as text")
        text = made.args[0]
        if type(text) is LongText:
            text = self.text_at(text.offset, text.length, text.escaped)
        try:
            data = codecs.latin_1_encode(text)[0]
        except UnicodeEncodeError:
            raise Refused("has bytes written as text with characters that are no bytes") from None
        span = Span(self._answered_bytes, len(data), in_answer=True)
        self._answer.write(data)
        self._answered_bytes += len(data)
        return span

    def _protocol(self) -> None:
        version = self._number("<B")
        if version > 5:
            raise Refused(f"has pickle protocol {version}; 0 to 5 are known")

    def _table(self) -> dict[bytes, Callable[[], None]]:
        push, stream = self._push, self._stream
        return {
            b"\x80": self._protocol,
            b"\x95": lambda: stream.frame(self._number("<Q")),
            b"(": lambda: push(_MARK),
            b"0": lambda: void(self._pop_any()),
            b"1": lambda: void(self._since_mark()),
            b"2": lambda: push(self._duplicate()),
            b"N": lambda: push(None),
            b"\x88": lambda: push(True),
            b"\x89": lambda: push(False),
            b"I": self._integer_line,
            b"L": self._integer_line,
            b"J": lambda: push(self._number("<i")),
            b"K": lambda: push(self._number("<B")),
            b"M": lambda: push(self._number("<H")),
            b"\x8a": lambda: self._integer("<B"),
            b"\x8b": lambda: self._integer("<i"),
            b"F": lambda: push(self._parsed(float, self._line())),
            b"G": lambda: push(self._number(">d")),
            b"V": lambda: self._push_text(*stream.line(), escaped=True),
            b"X": lambda: self._unicode("<I"),
            b"\x8c": lambda: self._unicode("<B"),
            b"\x8d": lambda: self._unicode("<Q"),
            b"B": lambda: self._bytes("<I"),
            b"C": lambda: self._bytes("<B"),
            b"\x8e": lambda: self._bytes("<Q"),
            b"\x96": lambda: self._bytes("<Q"),
            b"]": lambda: push([]),
            b"l": lambda: push(self._since_mark()),
            b"a": self._append,
            b"e": self._appends,
            b")": lambda: push(()),
            b"\x85": lambda: self._tuple(1),
            b"\x86": lambda: self._tuple(2),
            b"\x87": lambda: self._tuple(3),
            b"t": lambda: push(tuple(self._since_mark())),
            b"}": lambda: push({}),
            b"d": self._dict,
            b"s": self._set_item,
            b"u": self._set_many,
            b"p": lambda: self._put(self._parsed(int, self._line())),
            b"q": lambda: self._put(self._number("<B")),
            b"r": lambda: self._put(self._number("<I")),
            b"\x94": lambda: self._put(len(self._memo)),
            b"g": lambda: self._get(self._parsed(int, self._line())),
            b"h": lambda: self._get(self._number("<B")),
            b"j": lambda: self._get(self._number("<I")),
            b"c": self._global,
            b"\x93": self._stack_global,
            b"R": self._reduce,
            b"\x81": self._new,
            b"b": self._build,
        }

    def _duplicate(self) -> Any:
        value = self._pop()
        self._push(value)
        return value


def void(_: object) -> None:
    """Drop a value."""
