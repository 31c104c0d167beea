"""Callbacks for fits, in the way of scikit-learn: ``model.set_callbacks(...)`` before ``fit``.

They follow the protocol of `sklearn.callback`, whose own ``ProgressBar`` and ``ScoringMonitor``
work too. Those here look at the epochs of lstmcore's estimators.
"""

from lstmcore.callbacks._checkpoint import Checkpoint
from lstmcore.callbacks._epochs import EarlyStopping, EpochScoring, LRScheduler
from lstmcore.callbacks._loggers import CSVLogger, MLflow, TensorBoard, WandB

__all__ = [
    "CSVLogger",
    "Checkpoint",
    "EarlyStopping",
    "EpochScoring",
    "LRScheduler",
    "MLflow",
    "TensorBoard",
    "WandB",
]
