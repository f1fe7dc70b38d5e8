"""Optimisers and gradient clipping, under PyTorch's names."""

from nn.optim.algorithms import SGD, Adagrad, Adam, AdamW, RMSprop
from nn.optim.clip import clip_grad_norm_, clip_grad_value_
from nn.optim.optimizer import Optimizer

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm_", "clip_grad_value_"]
