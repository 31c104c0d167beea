"""Cells for the estimators' parameter ``cell``, where its name alone does not say enough.

They are scikit-learn objects without a fit: ``cell__reset_after`` can be set and searched over as
any nested parameter.
"""

from lstmcore._cells import GRUCell, LSTMCell, RNNCell

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]
