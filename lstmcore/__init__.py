"""LSTM networks on the CPU, trained and run by a C++ core behind scikit-learn's fit and predict.

``LSTMClassifier`` and ``LSTMRegressor`` are scikit-learn estimators for sequences;
`lstmcore.cells` has what their layers may be made of besides, `lstmcore.layers` the layer alone,
for those who build their own.
"""

from importlib.metadata import version

from lstmcore import cells, interop, layers
from lstmcore._classifier import LSTMClassifier
from lstmcore._config import show_config
from lstmcore._containers import from_awkward, from_channels_first, from_padded
from lstmcore._displays import GateDisplay, LossCurveDisplay
from lstmcore._ensemble import LSTMEnsemble
from lstmcore._files_load import load
from lstmcore._frames import from_long, labels_from_long
from lstmcore._gradient_flow import GradientFlow
from lstmcore._gradient_flow_display import GradientFlowDisplay
from lstmcore._inference import Gates, GRUGates, RNNStates
from lstmcore._learning_rate_finder import LearningRateFinder
from lstmcore._parquet import iter_parquet
from lstmcore._regressor import LSTMRegressor
from lstmcore._scaler import SequenceScaler
from lstmcore._streaming import StreamState

__version__ = version("lstmcore")

__all__ = [
    "GRUGates",
    "GateDisplay",
    "Gates",
    "GradientFlow",
    "GradientFlowDisplay",
    "LSTMClassifier",
    "LSTMEnsemble",
    "LSTMRegressor",
    "LearningRateFinder",
    "LossCurveDisplay",
    "RNNStates",
    "SequenceScaler",
    "StreamState",
    "__version__",
    "cells",
    "from_awkward",
    "from_channels_first",
    "from_long",
    "from_padded",
    "interop",
    "iter_parquet",
    "labels_from_long",
    "layers",
    "load",
    "show_config",
]
