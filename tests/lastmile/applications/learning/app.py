"""The smallest model there is, written by hand (ONNX is protobuf): y = x + x."""

import numpy
import onnxruntime


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def tensor(name: bytes) -> bytes:
    shape = field(2, field(1, field(1, 2)))  # one dimension, of two
    return field(1, name) + field(2, field(1, field(1, 1) + shape))


node = field(1, b"x") + field(1, b"x") + field(2, b"y") + field(4, b"Add")
graph = field(1, node) + field(2, b"g") + field(11, tensor(b"x")) + field(12, tensor(b"y"))
model = field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 13))
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
print(session.run(None, {"x": numpy.array([1, 2], numpy.float32)})[0].tolist())
