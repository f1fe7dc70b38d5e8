"""A pickle is a small program for a stack machine; this is the machine, and all that it can do is build plain data.

Python's own machine imports whatever a pickle names and calls it. This one imports nothing: a name is a string, and a
call looks that string up in a vocabulary, a table from names to functions of ours that describe a tensor, an array or
a container. A name outside the vocabulary is refused the moment it is mentioned. `pickle.Unpickler` with a
`find_class` of our own would guard names only: it would still call what they stand for with any arguments, set
attributes of what it finds (BUILD), and set aside gigabytes for a memo that three bytes ask for.

Source: the opcodes and their arguments as `pickletools` of the standard library decodes and documents them.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping, Sized
from typing import IO, Any

from nn.serialize.refusal import RefusedError

Vocabulary = Mapping[str, Callable[..., Any] | None]
"""What a name may mean when it is called; None: it may be mentioned only."""

PLAIN = (str, bytes, int, float, complex, bool, type(None))
COPIES = 4
"""How many times the file's size may be copied: text becomes bytes, bytes become an array."""
DEPTH = 100
SHARING = 10
"""Values per opcode that a nest may show when containers that occur several times are counted every time."""

REMEDY = "nothing of it was run; load it where it was made and save only the state_dict()"


class Described:
    """What a vocabulary's function returns for an array or tensor whose numbers come later."""

    def build(self, state: Any) -> None:
        """Take the state that the pickle adds afterwards."""
        raise RefusedError(f"a state for a {type(self).__name__.lower()}", REMEDY)


class Machine:
    """Runs one pickle after another from a stream, with one memo each.

    Args:
        stream: a file, or bytes behind `io.BytesIO` or `mmap`, at the beginning of a pickle.
        vocabulary: what names may mean.
        limit: the bytes of the whole file; what calls copy, all together, may take a few times as much.
        persistent: what stands for an object that lies elsewhere in the file, by the id that the pickle gives.
    """

    def __init__(
        self, stream: IO[bytes], vocabulary: Vocabulary, limit: int, persistent: Callable[[Any], Any] | None = None
    ) -> None:
        self.stream, self.vocabulary, self.limit, self.persistent = stream, vocabulary, limit, persistent
        self.opcodes, self.spent = 0, 0

    def load(self) -> Any:
        """Run the pickle at the stream's position; return what it builds, with `Described` leaves.

        Raises: `RefusedError`, naming the opcode or the name that is not plain data, and its byte.
        """
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # a stack for each mark
        self.memo: dict[int, Any] = {}
        for opcode, argument, position in pickletools.genops(self.stream):
            self.opcodes += 1
            try:
                if opcode.name == "STOP":
                    return self.stack.pop()
                if opcode.name in _LITERALS:
                    self.stack.append(argument)
                elif opcode.name in _STEPS:
                    _STEPS[opcode.name](self, argument)
                else:
                    raise RefusedError(f"the opcode {opcode.name}", REMEDY)
            except RefusedError as error:
                raise RefusedError(f"{error} at byte {position}", error.remedy) from None
            except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
                raise RefusedError(f"the opcode {opcode.name} at byte {position} in a wrong place ({error})") from error
        raise RefusedError("a pickle without its end")

    def spend(self, size: int) -> None:
        """Count bytes that are copied."""
        self.spent += size
        if self.spent > COPIES * self.limit:
            raise RefusedError("more data made from it than the file has", "it may be a bomb; fetch it again")

    def popmark(self) -> list[Any]:
        """What lies above the topmost mark."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def name(self, module: str, name: str) -> str:
        full = f"{module}.{name}"
        if full not in self.vocabulary:
            raise RefusedError(f"the name {full}", REMEDY)
        return full

    def call(self, name: str, arguments: tuple[Any, ...]) -> Any:
        function = self.vocabulary.get(name) if isinstance(name, str) else None
        if function is None:
            raise RefusedError(f"a call of {_short(name)}", REMEDY)
        self.spend(sum(len(argument) for argument in arguments if isinstance(argument, Sized)))
        return function(*arguments)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else f"a {type(value).__name__}"


def _push(machine: Machine, value: Any) -> None:
    machine.stack.append(value)


def _mark(machine: Machine, _: Any) -> None:
    machine.below.append(machine.stack)
    machine.stack = []


def _put(machine: Machine, index: int | None) -> None:
    machine.memo[len(machine.memo) if index is None else index] = machine.stack[-1]


def _reach(machine: Machine, index: int) -> None:
    machine.stack.append(machine.memo[index])


def _tuple(machine: Machine, size: int) -> None:
    items = tuple(machine.stack[len(machine.stack) - size :])
    if len(items) != size:
        raise IndexError("the stack is too small")
    del machine.stack[len(machine.stack) - size :]
    machine.stack.append(items)


def _set_items(container: Any, items: list[Any]) -> Any:
    if type(container) is not dict or len(items) % 2:
        raise TypeError(f"{len(items)} keys and values for a {type(container).__name__}")
    for key, value in zip(items[::2], items[1::2]):
        if not isinstance(key, PLAIN):  # the hash of a deep tuple would exhaust Python's own stack
            raise RefusedError(f"a key of type {type(key).__name__}", "save a dict with strings or numbers as keys")
        container[key] = value
    return container


def _append_items(container: Any, items: list[Any]) -> None:
    if type(container) is not list:
        raise TypeError(f"items for a {type(container).__name__}")
    container.extend(items)


def _set_one(machine: Machine, _: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _set_items(machine.stack[-1], [key, value])


def _set_many(machine: Machine, _: Any) -> None:
    items = machine.popmark()
    _set_items(machine.stack[-1], items)


def _append_one(machine: Machine, _: Any) -> None:
    item = machine.stack.pop()
    _append_items(machine.stack[-1], [item])


def _append_many(machine: Machine, _: Any) -> None:
    items = machine.popmark()
    _append_items(machine.stack[-1], items)


def _global(machine: Machine, argument: str) -> None:
    machine.stack.append(machine.name(*argument.split(" ", 1)))


def _stack_global(machine: Machine, _: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(machine.name(module, name))


def _reduce(machine: Machine, _: Any) -> None:
    arguments, name = machine.stack.pop(), machine.stack.pop()
    if not isinstance(arguments, tuple):
        raise TypeError(f"arguments in a {type(arguments).__name__}")
    machine.stack.append(machine.call(name, arguments))


def _instance(machine: Machine, argument: str) -> None:
    name = machine.name(*argument.split(" ", 1))
    items = machine.popmark()
    machine.stack.append(machine.call(name, tuple(items)))


def _object(machine: Machine, _: Any) -> None:
    name, *items = machine.popmark()
    machine.stack.append(machine.call(name, tuple(items)))


def _build(machine: Machine, _: Any) -> None:
    state, target = machine.stack.pop(), machine.stack[-1]
    if isinstance(target, Described):
        target.build(state)
    elif type(target) is not dict:  # an OrderedDict's attributes (PyTorch's _metadata) are left out
        raise RefusedError(f"a state for {_short(target)}", REMEDY)


def _elsewhere(machine: Machine, key: Any) -> None:
    if machine.persistent is None:
        raise RefusedError("a reference to an object outside the pickle", REMEDY)
    machine.stack.append(machine.persistent(machine.stack.pop() if key is None else key))


_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip

_STEPS: dict[str, Callable[[Machine, Any], object]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "NONE": lambda machine, _: _push(machine, None),
    "NEWTRUE": lambda machine, _: _push(machine, True),
    "NEWFALSE": lambda machine, _: _push(machine, False),
    "EMPTY_TUPLE": lambda machine, _: _push(machine, ()),
    "EMPTY_LIST": lambda machine, _: _push(machine, []),
    "EMPTY_DICT": lambda machine, _: _push(machine, {}),
    "TUPLE1": lambda machine, _: _tuple(machine, 1),
    "TUPLE2": lambda machine, _: _tuple(machine, 2),
    "TUPLE3": lambda machine, _: _tuple(machine, 3),
    "MARK": _mark,
    "POP_MARK": lambda machine, _: machine.popmark(),
    "TUPLE": lambda machine, _: _push(machine, tuple(machine.popmark())),
    "LIST": lambda machine, _: _push(machine, machine.popmark()),
    "DICT": lambda machine, _: _push(machine, _set_items({}, machine.popmark())),
    "POP": lambda machine, _: machine.stack.pop(),
    "DUP": lambda machine, _: _push(machine, machine.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _reach),
    "APPEND": _append_one,
    "APPENDS": _append_many,
    "SETITEM": _set_one,
    "SETITEMS": _set_many,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "INST": _instance,
    "OBJ": _object,
    "BUILD": _build,
    "PERSID": _elsewhere,
    "BINPERSID": _elsewhere,
}
"""What is not here is refused: sets, keyword arguments, extension codes, buffers outside the file."""


def finish(nest: Any, make: Callable[[Described], Any], values: int) -> Any:
    """A copy of the nest with `make(description)` at its leaves, the same for the same one.

    Args:
        nest: what a `Machine` built.
        make: arrays or tensors out of descriptions.
        values: how many containers and leaves it may show.

    Raises: `RefusedError` for a nest that is deeper than `DEPTH`, or holds itself, or holds more values; for
    leaves that are not plain.
    """
    made: dict[int, Any] = {}
    left = values

    def copy(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if depth > DEPTH or left < 0:
            what = f"a nest of more than {DEPTH} levels" if depth > DEPTH else f"more than {values:,} values"
            raise RefusedError(what, "it may be a bomb; if it is yours, save a flatter structure")
        if isinstance(value, dict):
            return {key: copy(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)([copy(item, depth + 1) for item in value])
        if isinstance(value, Described):
            if id(value) not in made:
                made[id(value)] = make(value)
            return made[id(value)]
        if isinstance(value, bytearray):
            return bytes(value)
        if not isinstance(value, PLAIN):
            raise RefusedError(f"a {type(value).__name__}", REMEDY)
        return value

    return copy(nest, 0)
