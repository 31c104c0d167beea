"""Exchange of layers and models with PyTorch, Keras and ONNX.

Every conversion is lossless: what comes back has the same bits. The other packages are extras
(``pip install 'lstmcore[torch]'``, ``[keras]``, ``[onnx]``) and imported when they are needed.
"""

from lstmcore.interop._keras import from_keras, to_keras_weights
from lstmcore.interop._onnx_export import to_onnx
from lstmcore.interop._onnx_import import from_onnx
from lstmcore.interop._torch import from_torch, to_torch_state_dict

__all__ = [
    "from_keras",
    "from_onnx",
    "from_torch",
    "to_keras_weights",
    "to_onnx",
    "to_torch_state_dict",
]
