"""Helpers under PyTorch's names: sequences of different lengths (`rnn`), gradient clipping."""

from nn.optim.clip import clip_grad_norm_, clip_grad_value_
from nn.utils import rnn

__all__ = ["clip_grad_norm_", "clip_grad_value_", "rnn"]
