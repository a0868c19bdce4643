"""A censored encoder as ONNX, for a phone or a watch: windows in their own units -> features and probabilities.

The graph is written node by node from the encoder's few kinds of layers, so no tracing of torch is involved. An encoder
of preset robust has a second input, standard normal numbers to be drawn where the features leave the device, once a
window, so that features without noise cannot be had by accident. The key of `CensoredEncoder.transform` is not in the
file, nor is the noise of a certified release.
Needs the package onnx; running the result needs onnxruntime: pip install keshi[onnx].
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from keshi._validate import positive_integer
from keshi.censoring.encoded import CensoredEncoder
from keshi.censoring.encoders import NoisyFeatures, RectifiedDropout
from keshi.errors import KeshiError

OPSET = 17  # what phones of the last years run
IR_VERSION = 8  # that goes with it
LARGEST_DIFFERENCE = 1e-5  # of a feature between torch and ONNX, on features of the order of 1


@dataclass(frozen=True)
class OnnxCheck:
    """How an exported encoder does in onnxruntime.

    largest_difference: of a feature against torch. size: bytes. single, batched: seconds a window, one at a time and
    many at once, on one thread.
    """

    largest_difference: float
    size: int
    single: float
    batched: float


class MissingPackageError(KeshiError, ImportError):
    """A package of keshi[onnx] is not there."""


def check_can_export() -> None:
    """Raise MissingPackageError where the package onnx is not there."""
    _package("onnx")


def onnx_bytes(encoder: CensoredEncoder) -> bytes:
    """The encoder as the bytes of an .onnx file.

    Input "windows" (n, channels, length) float32, and "noise" (n, features), standard normal, where the encoder was
    trained with noise; outputs "features" (n, features), "probabilities" (n, labels).
    """
    onnx = _package("onnx")
    graph = _Graph(onnx)
    mean, std = encoder.scaler.mean, encoder.scaler.std
    value = graph.add("Sub", "windows", graph.constant(mean[:, None], "mean"))
    value = graph.add("Div", value, graph.constant(std[:, None], "std"))
    value = graph.add("Unsqueeze", value, graph.constant(np.array([2], dtype=np.int64), "height"))
    network, head = encoder._networks
    layers = list(network.layers)
    for number, layer in enumerate(layers):
        last = number == len(layers) - 1 and encoder.noise == 0
        value = graph.layer(layer, value, name="features" if last else None)
    inputs = [("windows", ["n", encoder.channels, encoder.length])]
    if encoder.noise > 0:
        scaled = graph.add(
            "Mul", "noise", graph.constant(np.array(encoder.noise, np.float32), "std_of_noise")
        )
        graph.add("Add", value, scaled, name="features")
        inputs.append(("noise", ["n", encoder.features]))
    logits = graph.layer(head.linear, "features")
    graph.add("Softmax", logits, name="probabilities", axis=1)
    helper, single = onnx.helper, onnx.TensorProto.FLOAT
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "keshi censored encoder",
            [helper.make_tensor_value_info(name, single, shape) for name, shape in inputs],
            [
                helper.make_tensor_value_info("features", single, ["n", encoder.features]),
                helper.make_tensor_value_info("probabilities", single, ["n", len(encoder.labels)]),
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="keshi",
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def check_onnx(data: bytes, encoder: CensoredEncoder, x: np.ndarray, *, repeats: int = 50) -> OnnxCheck:
    """Run the exported encoder in onnxruntime on windows x and compare with torch; one thread.

    Raises:
        RuntimeError: a feature differs by more than 1e-5 of the largest one, so the file must not be used.
    """
    positive_integer("repeats", repeats)
    runtime = _package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    windows = np.ascontiguousarray(x, dtype=np.float32)
    expected = encoder.transform(windows)
    given = {"windows": windows}
    if encoder.noise > 0:
        given["noise"] = encoder.drawn_noise(windows)
    began = time.perf_counter()
    (found,) = session.run(["features"], given)
    batched = (time.perf_counter() - began) / len(windows)
    difference = float(np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max())))
    if difference > LARGEST_DIFFERENCE:
        raise RuntimeError(f"the exported encoder differs from the trained one by {difference:.3g}.")
    one = {name: values[:1] for name, values in given.items()}
    began = time.perf_counter()
    for _ in range(repeats):
        session.run(["features"], one)
    return OnnxCheck(difference, len(data), (time.perf_counter() - began) / repeats, batched)


class _Graph:
    """The nodes and constants of a graph that is a chain."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: np.ndarray, name: str) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        name = name or f"value{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def layer(self, layer: nn.Module, value: str, *, name: str | None = None) -> str:
        """One layer of an encoder or head; a kind that is not known is an error of ours."""
        if isinstance(layer, RectifiedDropout):  # nothing is dropped outside training
            return self.add("Relu", value, name=name)
        if isinstance(layer, NoisyFeatures):
            ones = self.constant(np.ones(layer.width, np.float32), "ones")
            return self.add("LayerNormalization", value, ones, name=name, axis=1, epsilon=layer.epsilon)
        if isinstance(layer, nn.Flatten):
            return self.add("Flatten", value, name=name, axis=1)
        if isinstance(layer, nn.MaxPool2d):
            height, width = layer.kernel_size  # type: ignore[misc]
            sizes = [height, width]
            return self.add("MaxPool", value, name=name, kernel_shape=sizes, strides=sizes)
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            place = len(self.constants)
            weight = self.constant(layer.weight.detach().numpy(), f"weight{place}")
            bias = self.constant(layer.bias.detach().numpy(), f"bias{place}")  # type: ignore[union-attr]
            if isinstance(layer, nn.Linear):
                return self.add("Gemm", value, weight, bias, name=name, transB=1)
            width = layer.kernel_size[1]
            around = (width - 1) // 2 if layer.padding == "same" else 0  # kernels are odd
            pads = [0, around, 0, around]
            return self.add("Conv", value, weight, bias, name=name, kernel_shape=[1, width], pads=pads)
        raise AssertionError(f"no ONNX form of {type(layer).__name__} is known")


def _package(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"exporting an encoder needs the package {name}: pip install 'keshi[onnx]'."
        ) from error
