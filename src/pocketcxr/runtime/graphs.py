"""What an ONNX file would do, read from its bytes before any engine loads it.

Written against onnx.proto (ONNX IR version 10): a few fields of it, since the base install has no onnx package.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pocketcxr.domain.errors import BundleError

STANDARD_DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
"""Operators that onnxruntime itself has; those of another domain come as a library of machine code."""

Value = int | memoryview
Dims = tuple[int | None, ...]
"""A shape; None where it is left open."""

_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTION = 7, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE = 1, 5, 11, 12, 15
_INFO_NAME, _INFO_TYPE, _TYPE_TENSOR, _TENSOR_SHAPE, _SHAPE_DIMENSION, _DIMENSION_LENGTH = 1, 2, 1, 2, 1, 1
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = frozenset({5, 10}), frozenset({6, 11}), frozenset({22, 23})
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14


@dataclass(frozen=True)
class Interface:
    """The inputs and outputs that a graph must have, and no others; None: of any length."""

    inputs: dict[str, Dims]
    outputs: dict[str, Dims]


def check_graph(where: str, data: bytes, interface: Interface) -> None:
    """Nothing, when the ONNX file in `data` keeps to itself and to the interface. Raises BundleError.

    Refused are weights in other files, operators of other domains, control flow (which may never end), functions,
    sparse weights, and inputs or outputs of other names or shapes.
    """
    try:
        graphs = [_message(value) for number, value in _fields(memoryview(data)) if number == _MODEL_GRAPH]
        if len(graphs) != 1:
            raise BundleError(f"{where} is no ONNX model: it holds {len(graphs)} graphs; export the run again")
        if any(number in {_MODEL_TRAINING, _MODEL_FUNCTION} for number, _ in _fields(memoryview(data))):
            raise BundleError(f"{where} defines functions of its own; do not use it")
        found: dict[int, dict[str, Dims]] = {_GRAPH_INPUT: {}, _GRAPH_OUTPUT: {}}
        for number, value in _fields(graphs[0]):
            if number == _GRAPH_NODE:
                _check_node(where, _message(value))
            elif number == _GRAPH_INITIALIZER:
                _check_tensor(where, _message(value))
            elif number == _GRAPH_SPARSE:
                raise BundleError(f"{where} has sparse weights, which are not read; export the run again")
            elif number in found:
                found[number].update([_named_shape(_message(value))])
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise BundleError(f"{where} is no ONNX model ({error}); export the run again") from error
    _check_values(f"{where}: its inputs", interface.inputs, found[_GRAPH_INPUT])
    _check_values(f"{where}: its outputs", interface.outputs, found[_GRAPH_OUTPUT])


def _check_node(where: str, node: memoryview) -> None:
    operator, domain = "", ""
    for number, value in _fields(node):
        if number == _NODE_OPERATOR:
            operator = _text(value)
        elif number == _NODE_DOMAIN:
            domain = _text(value)
        elif number == _NODE_ATTRIBUTE:
            _check_attribute(where, _message(value))
    if domain not in STANDARD_DOMAINS:
        raise BundleError(f"{where} needs the custom operator {domain!r}.{operator!r}; do not use it")


def _check_attribute(where: str, attribute: memoryview) -> None:
    for number, value in _fields(attribute):
        if number in _ATTRIBUTE_TENSORS:
            _check_tensor(where, _message(value))
        elif number in _ATTRIBUTE_GRAPHS:
            raise BundleError(f"{where} has control flow (a graph inside a node); do not use it")
        elif number in _ATTRIBUTE_SPARSE:
            raise BundleError(f"{where} has sparse weights, which are not read; export the run again")


def _check_tensor(where: str, tensor: memoryview) -> None:
    for number, value in _fields(tensor):
        if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
            raise BundleError(f"{where} takes weights from another file; export the run again, into one file")


def _check_values(where: str, wanted: dict[str, Dims], found: dict[str, Dims]) -> None:
    if set(wanted) != set(found):
        raise BundleError(f"{where} are {sorted(found)}, a bundle's are {sorted(wanted)}; export the run again")
    for name, shape in wanted.items():
        is_same_rank = len(shape) == len(found[name])
        if not is_same_rank or any(
            None not in {one, other} and one != other for one, other in zip(shape, found[name], strict=True)
        ):
            raise BundleError(f"{where}: {name} has the shape {found[name]}, expected {shape}; export the run again")


def _named_shape(value_info: memoryview) -> tuple[str, Dims]:
    """Name and shape of a ValueInfoProto that is a tensor."""
    name, shape = "", memoryview(b"")
    for number, value in _fields(value_info):
        if number == _INFO_NAME:
            name = _text(value)
        elif number == _INFO_TYPE:
            shape = _only(_only(_message(value), _TYPE_TENSOR), _TENSOR_SHAPE)
    return name, tuple(_length(_message(value)) for number, value in _fields(shape) if number == _SHAPE_DIMENSION)


def _length(dimension: memoryview) -> int | None:
    lengths = [value for number, value in _fields(dimension) if number == _DIMENSION_LENGTH and isinstance(value, int)]
    return lengths[-1] if lengths else None


def _only(message: memoryview, wanted: int) -> memoryview:
    """The one message in a field. Raises ValueError where there is none or several."""
    (found,) = [_message(value) for number, value in _fields(message) if number == wanted]
    return found


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")
    return value


def _text(value: Value) -> str:
    return bytes(_message(value)).decode()


def _fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a protobuf message. Raises ValueError, IndexError where it is none."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        match tag & 7:
            case 0:  # varint
                value, place = _varint(message, place)
                yield tag >> 3, value
                continue
            case 1:  # 64 bits
                length = 8
            case 2:  # length and bytes
                length, place = _varint(message, place)
            case 5:  # 32 bits
                length = 4
            case wire_type:
                raise ValueError(f"wire type {wire_type}")
        if place + length > len(message):
            raise ValueError("a field beyond the end")
        yield tag >> 3, message[place : place + length]
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where the next field begins."""
    number = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise ValueError("a number of more than ten bytes")
