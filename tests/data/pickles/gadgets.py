"""Pickles that try to act, by name: calls, spellings of names, and opcodes beside the way."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path


def plain(value: object) -> bytes:
    """Opcodes that put a plain value on the stack, without PROTO and STOP."""
    return pickle.dumps(value, 2)[2:-1]


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def calling(module: str, name: str, *args: object) -> bytes:
    return b"\x80\x02" + named(module, name) + plain(args) + b"R."


class Call:
    """Pickles as a call, the way real gadgets are made."""

    def __init__(self, function: object, *args: object) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple:
        return self.function, self.args


def calls(marker: str) -> dict[str, bytes]:
    """Calls of names that are not on the list."""
    touch, write = f"touch {marker}", f"open({marker!r}, 'w').close()"
    table = [
        ("os", "system", touch),
        ("posix", "system", touch),
        ("nt", "system", touch),
        ("os", "popen", touch),
        ("os", "mkdir", marker),
        ("os", "putenv", "LUNGZOO_GADGET", "1"),
        ("os", "execv", "/bin/true", ["true"]),
        ("os", "_exit", 0),
        ("os", "spawnlp", 0, "touch", "touch", marker),
        ("posix", "mkdir", marker),
        ("posix", "open", marker, os.O_CREAT),
        ("subprocess", "Popen", ["touch", marker]),
        ("subprocess", "call", ["touch", marker]),
        ("subprocess", "check_output", ["touch", marker]),
        ("subprocess", "run", ["touch", marker]),
        ("subprocess", "getoutput", touch),
        ("commands", "getoutput", touch),
        ("builtins", "eval", write),
        ("builtins", "exec", write),
        ("__builtin__", "eval", write),
        ("__builtin__", "execfile", marker),
        ("builtins", "open", marker, "w"),
        ("__builtin__", "open", marker, "w"),
        ("__builtin__", "file", marker, "w"),
        ("io", "open", marker, "w"),
        ("_io", "open", marker, "w"),
        ("io", "FileIO", marker, "w"),
        ("codecs", "open", marker, "w"),
        ("builtins", "compile", write, "x", "exec"),
        ("builtins", "__import__", "this"),
        ("builtins", "getattr", {}, "clear"),
        ("builtins", "setattr", {}, "x", 1),
        ("builtins", "delattr", {}, "x"),
        ("builtins", "vars"),
        ("builtins", "globals"),
        ("builtins", "map", None, []),
        ("builtins", "breakpoint"),
        ("builtins", "type", "X", (), {}),
        ("builtins", "bytearray", 2**36),
        ("builtins", "range", 2**62),
        ("importlib", "import_module", "this"),
        ("importlib", "__import__", "this"),
        ("importlib._bootstrap", "_gcd_import", "this"),
        ("importlib.machinery", "SourceFileLoader", "x", marker),
        ("operator", "attrgetter", "system"),
        ("operator", "methodcaller", "system", touch),
        ("operator", "itemgetter", 0),
        ("pydoc", "pipepager", "", touch),
        ("pydoc", "locate", "this"),
        ("pydoc", "tempfilepager", "", touch),
        ("pandas", "eval", f"@open({marker!r}, 'w')"),
        ("pandas", "read_pickle", marker),
        ("pandas.io.pickle", "read_pickle", marker),
        ("pandas.core.computation.eval", "eval", "1"),
        ("pandas.compat.pickle_compat", "load", marker),
        ("pandas.io.common", "get_handle", marker, "w"),
        ("numpy", "load", marker),
        ("numpy", "save", marker, 0),
        ("numpy", "savetxt", marker, [1]),
        ("numpy", "fromfile", marker),
        ("numpy", "memmap", marker, "uint8", "w+", 0, (4,)),
        ("numpy.lib.npyio", "load", marker),
        ("numpy.lib._npyio_impl", "save", marker, 0),
        ("numpy.testing._private.utils", "runstring", write, {}),
        ("numpy.ctypeslib", "load_library", "libc", "/lib"),
        ("numpy.f2py", "compile", ""),
        ("numpy._core._multiarray_umath", "fromfile", marker),
        ("shutil", "copyfile", "/etc/hostname", marker),
        ("shutil", "rmtree", marker + ".none"),
        ("shutil", "make_archive", marker, "zip"),
        ("socket", "create_connection", ("127.0.0.1", 9), 0.01),
        ("socket", "socket"),
        ("ctypes", "CDLL", None),
        ("ctypes", "string_at", 0),
        ("multiprocessing", "Process"),
        ("multiprocessing.util", "spawnv_passfds", b"/bin/true", [], []),
        ("runpy", "run_path", marker),
        ("runpy", "_run_code", write, {}),
        ("runpy", "run_module", "this"),
        ("timeit", "timeit", write),
        ("timeit", "main", [write]),
        ("cProfile", "run", write),
        ("profile", "run", write),
        ("pdb", "run", write),
        ("trace", "Trace"),
        ("doctest", "debug_script", write),
        ("code", "interact"),
        ("code", "InteractiveInterpreter"),
        ("pty", "spawn", "true"),
        ("functools", "reduce", None, []),
        ("functools", "cached_property", None),
        ("types", "FunctionType", None, {}),
        ("types", "CodeType", 0),
        ("marshal", "loads", b"N"),
        ("pickle", "loads", pickle.dumps(1)),
        ("_pickle", "Unpickler", None),
        ("copyreg", "__newobj__", int),
        ("copyreg", "add_extension", "os", "system", 1),
        ("weakref", "finalize", None, None),
        ("threading", "Timer", 0, None),
        ("webbrowser", "open", "file:///"),
        ("urllib.request", "urlopen", "http://127.0.0.1:9"),
        ("urllib.request", "urlretrieve", "file:///etc/hostname", marker),
        ("tempfile", "mkstemp", "", "", str(Path(marker).parent)),
        ("tempfile", "NamedTemporaryFile"),
        ("unittest.mock", "_importer", "this"),
        ("logging", "FileHandler", marker),
        ("sqlite3", "connect", marker),
        ("dbm.dumb", "open", marker),
        ("shelve", "open", marker),
        ("zipfile", "ZipFile", marker, "w"),
        ("tarfile", "open", marker, "w"),
        ("pathlib", "Path", marker),
        ("gc", "get_objects"),
        ("sys", "exit"),
        ("sys", "setrecursionlimit", 2**30),
        ("signal", "alarm", 1),
        ("uuid", "_get_command_stdout", "touch", marker),
        ("joblib", "load", marker),
        ("torch", "load", marker),
        ("pyarrow", "OSFile", marker, "w"),
        ("pyarrow.lib", "py_buffer_", marker),
        ("lungzoo.data.pickles.process", "main"),
        ("numpy", "ndarray", (2**33,)),
    ]
    return {f"{module}.{name}-{n}": calling(module, name, *args) for n, (module, name, *args) in enumerate(table)}


def spellings(marker: str) -> dict[str, bytes]:
    """The same names in other spellings: dotted, with newlines, through the stack."""
    touch, args = f"touch {marker}", plain((f"touch {marker}",))
    stacked = {
        "dotted": ("os", "path.os.system"),
        "dotted frame": ("pandas.core.frame", "DataFrame.to_pickle"),
        "dotted array": ("numpy", "ndarray.tofile"),
        "dotted module": ("pandas", "core.frame.DataFrame"),
        "dunder": ("numpy", "__builtins__"),
        "space": ("numpy ", "ndarray"),
        "return": ("numpy\r", "ndarray"),
        "newline": ("numpy\nos", "system"),
        "nul": ("numpy\0", "ndarray"),
        "empty": ("", ""),
        "lookalike": ("numpу", "ndarray"),
        "case": ("Numpy", "ndarray"),
        "os by stack": ("os", "system"),
    }
    made = {
        f"stack {name}": b"\x80\x04" + plain(module) + plain(function) + b"\x93" + args + b"R."
        for name, (module, function) in stacked.items()
    }
    made |= {f"protocol {n}": pickle.dumps(Call(os.system, touch), n) for n in range(6)}
    made |= {f"eval at protocol {n}": pickle.dumps(Call(eval, f"open({marker!r}, 'w')"), n) for n in range(6)}
    return made | {
        "names that are numbers": b"\x80\x04K\x01K\x02\x93.",
        "names that are globals": b"\x80\x04" + named("numpy", "ndarray") * 2 + b"\x93.",
        "carriage return in GLOBAL": b"cnumpy\r\nndarray\r\n.",
        "GLOBAL without an end": b"cos",
        "name that is not UTF-8": b"c\xff\xfe\nsystem\n.",
        "partial of os.system": b"\x80\x02" + named("functools", "partial") + named("os", "system") + b"\x85R.",
        "partial of a list": b"\x80\x02" + named("functools", "partial") + b"]\x85R.",
        "partial of an allowed name": b"\x80\x02" + named("functools", "partial") + named("numpy", "dtype") + b"\x85R.",
        "partial before its state": b"\x80\x02" + named("functools", "partial") + new_block() + b"\x85R)R.",
        "partial with another state": b"\x80\x02" + named("functools", "partial") + new_block() + b"\x85R)b.",
        "reconstructor of os.system": reconstructed(named("os", "system")),
        "reconstructor of int": reconstructed(named("builtins", "int")),
        "reconstructor of a function": reconstructed(named("numpy", "dtype")),
        "bytearray of a size": calling("builtins", "bytearray", 10),
        "bytes of text": calling("builtins", "bytes", "touch", "utf-8"),
        "encode by another codec": calling("_codecs", "encode", "touch", "rot13"),
        "encode without a codec": calling("_codecs", "encode", "touch"),
        "encode of a number": calling("_codecs", "encode", 1, "latin1"),
        "encode of no bytes": calling("_codecs", "encode", "\u0100", "latin1"),
    }


def new_block() -> bytes:
    return named("pandas.core.internals.blocks", "new_block")


def reconstructed(cls: bytes) -> bytes:
    return b"\x80\x02" + named("copyreg", "_reconstructor") + cls + named("builtins", "object") + b"N\x87R."


def opcodes(marker: str) -> dict[str, bytes]:
    """Opcodes that act by themselves, or that a damaged or crafted stream misuses."""
    touch, frame = f"touch {marker}".encode(), named("pandas.core.frame", "DataFrame")
    array = named("numpy.core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
    return {
        "INST": b"(S'" + touch + b"'\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nV" + touch + b"\no.",
        "OBJ of an allowed class": b"(" + frame + b"o.",
        "INST of an allowed class": b"(ipandas.core.frame\nDataFrame\n.",
        "NEWOBJ": b"\x80\x02cos\nsystem\n" + plain((touch.decode(),)) + b"\x81.",
        "NEWOBJ of a function": b"\x80\x02" + named("_codecs", "encode") + b")\x81.",
        "NEWOBJ of a dtype": b"\x80\x02" + named("numpy", "dtype") + b")\x81.",
        "NEWOBJ with a list": b"\x80\x02" + frame + b"]\x81.",
        "NEWOBJ_EX": b"\x80\x04" + frame + b")}\x92.",
        "EXT1": b"\x80\x02\x82\x01.",
        "EXT2": b"\x80\x02\x83\x01\x00.",
        "EXT4": b"\x80\x02\x84\x01\x00\x00\x00.",
        "PERSID": b"Pfile\n.",
        "BINPERSID": b"\x80\x02Vfile\nQ.",
        "NEXT_BUFFER": b"\x80\x05\x97.",
        "READONLY_BUFFER": b"\x80\x05C\x01a\x98.",
        "STRING": b"S'" + touch + b"'\n.",
        "BINSTRING": b"T\x01\x00\x00\x00a.",
        "SHORT_BINSTRING": b"U\x01a.",
        "sets": b"\x80\x04\x8f(K\x01\x90.",
        "frozen set": b"\x80\x04(K\x01\x91.",
        "REDUCE of a number": b"\x80\x02K\x01)R.",
        "REDUCE of text": b"\x80\x02" + plain("os.system") + b")R.",
        "REDUCE of a made thing": b"\x80\x02" + frame + b")\x81)R.",
        "REDUCE of an argument": b"\x80\x02" + named("numpy", "ndarray") + b")R.",
        "REDUCE of a class": b"\x80\x02" + frame + b")R.",
        "REDUCE with a list": b"\x80\x02" + named("numpy", "dtype") + b"]R.",
        "BUILD of a name": b"\x80\x02" + named("numpy", "ndarray") + b"}b.",
        "BUILD of the reconstructor": b"\x80\x02" + named("numpy.core.multiarray", "_reconstruct") + b"}b.",
        "BUILD of a list": b"\x80\x02]}b.",
        "BUILD of a dictionary": b"\x80\x02}}b.",
        "BUILD twice": b"\x80\x02" + frame + b")\x81}b}b.",
        "BUILD of a slice": b"\x80\x02" + named("builtins", "slice") + plain((0, 1, 1)) + b"R}b.",
        "BUILD with None": b"\x80\x02" + frame + b")\x81Nb.",
        "BUILD with __class__": b"\x80\x02" + frame + b")\x81" + plain({"__class__": 1, "__dict__": {}}) + b"b.",
        "BUILD with slots": b"\x80\x02" + frame + b")\x81" + plain((None, {"__setstate__": 1})) + b"b.",
        "BUILD of an array by __setstate__": b"\x80\x02" + array + plain({"__setstate__": "x"}) + b"b.",
        "setattr by SETITEM": b"\x80\x02" + frame + b")\x81" + plain("x") + plain(1) + b"s.",
        "APPEND to a name": b"\x80\x02" + frame + b"K\x01a.",
        "APPENDS to a tuple": b"\x80\x02)(K\x01e.",
        "SETITEMS of a name": b"\x80\x02" + frame + b"(K\x01K\x02u.",
        "key that is no text": b"\x80\x02}K\x01K\x02s.",
        "key that is a tuple": b"\x80\x02})K\x02s.",
        "key that is a made thing": b"\x80\x02}" + array + b"K\x02s.",
        "key without a value": b"\x80\x02}(" + plain("x") + b"u.",
        "memo: unknown": b"\x80\x02h\x07.",
        "memo: far away": b"\x80\x02j\xff\xff\xff\xff.",
        "memo: unknown, as text": b"g999999999999\n.",
        "memo: no number": b"gabc\n.",
        "memo: negative": b"I1\np-1\n.",
        "memo: a mark": b"\x80\x02(q\x00.",
        "memo: nothing": b"\x80\x04\x94.",
        "memo: a name in place of text": b"\x80\x04" + frame + b"\x940" + plain("os") + b"h\x00\x93.",
        "memo: itself": b"\x80\x04]\x94h\x00a.",
        "memo: frame within itself": b"\x80\x04" + frame + b")\x81\x94}" + plain("_mgr") + b"h\x00sb.",
        "stack: empty": b"\x80\x02.",
        "stack: two": b"\x80\x02K\x01K\x02.",
        "stack: POP of nothing": b"0.",
        "stack: a mark": b"(.",
        "stack: a mark in a tuple": b"((\x85.",
        "stack: DUP of a mark": b"(2.",
        "stack: no mark": b"\x80\x02t.",
        "stack: POP_MARK without one": b"\x80\x021.",
        "frame within a frame": b"\x80\x04\x95" + struct.pack("<Q", 12) + b"\x95" + struct.pack("<Q", 2) + b"N.NN",
        "frame past the end": b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N.",
        "bytes past the frame": b"\x80\x04\x95" + struct.pack("<Q", 3) + b"C\x04abcd.",
        "64 GiB of bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**36) + b"x.",
        "64 GiB of text": b"\x80\x04\x8d" + struct.pack("<Q", 2**36) + b"x.",
        "64 GiB of bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**36) + b"x.",
        "2⁶⁴ − 1 bytes": b"\x80\x04\x8e" + b"\xff" * 8 + b"x.",
        "negative length of an integer": b"\x80\x02\x8b\xff\xff\xff\xff.",
        "integer of 2 GiB": b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "integer of many digits": b"I" + b"9" * 5000 + b"\n.",
        "integer that is code": b"I__import__('os')\n.",
        "float that is code": b"Fopen\n.",
        "text that is not UTF-8": b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
        "unknown opcode": b"\xff.",
        "protocol 6": b"\x80\x06N.",
        "nothing": b"",
        "no end": b"\x80\x02K\x01",
        "more after the end": b"\x80\x02N.cos\nsystem\n.",
        "plain value": pickle.dumps({"label1": ["LR2"]}),
        "a tower of tuples": b"\x80\x02)" + b"\x85" * 200_000 + b".",
        "a tower of lists": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        "a tower as state": b"\x80\x02" + frame + b")\x81)" + b"\x85" * 200_000 + b"b.",
    }
