"""Layers on their own, with states, gradients and single steps, for those who build their own."""

from lstmcore.layers._gru import GRU
from lstmcore.layers._lstm import LSTM
from lstmcore.layers._rnn import RNN

__all__ = ["GRU", "LSTM", "RNN"]
