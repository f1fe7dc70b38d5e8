"""Recurrent layers and cells."""

from nn.recurrent.cells import GRUCell, LSTMCell, RNNCell, RNNCellBase
from nn.recurrent.layers import GRU, LSTM, RNN, RNNBase

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]
