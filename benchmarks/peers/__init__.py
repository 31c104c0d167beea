"""The libraries that are measured, one module each, all behind the interface of :mod:`.base`.

A peer is imported only in its own process, so a missing one costs nothing but a line in the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from .base import Peer

PEERS: dict[str, tuple[str, str]] = {
    "lstmcore": ("lstmcore_peer:Layer", "lstmcore.layers.LSTM, the public API; fit: estimators"),
    "lstmcore-core": ("lstmcore_core_peer:Core", "the core alone: batch packed beforehand"),
    "torch": ("torch_peer:Torch", "torch.nn.LSTM, time-major; ragged batches packed"),
    "torch-padded": ("torch_peer:Padded", "torch.nn.LSTM on padded ragged batches"),
    "onnxruntime": ("onnxruntime_peer:OnnxRuntime", "ONNX LSTM node, outputs bound beforehand"),
    "openvino": ("openvino_peer:OpenVino", "the same node, float32 forced, latency hint"),
    "jax": ("jax_peer:Jax", "lax.scan, x·W_ih hoisted, jit"),
    "keras": ("keras_peer:Keras", "keras.layers.LSTM; whole fits only"),
}
WHOLE_FITS = ("lstmcore", "torch", "keras")


def offers(name: str, modes: Iterable[str]) -> bool:
    """Whether a peer may have one of these modes: another isn't worth the start of its process."""
    return any(name in WHOLE_FITS if mode == "fit" else name != "keras" for mode in modes)


def load(name: str) -> type[Peer]:
    """Import the class of a peer.

    Parameters
    ----------
    name : str
        A key of ``PEERS``.

    Raises
    ------
    ImportError
        If what it measures isn't installed.
    """
    module, attribute = PEERS[name][0].split(":")
    peer: type[Peer] = getattr(import_module(f".{module}", __name__), attribute)
    return peer
