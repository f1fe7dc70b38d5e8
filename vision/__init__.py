"""Images: data sets, transforms of whole batches, published networks, and looking inside a network."""

from vision import datasets, models, see, transforms

__all__ = ["datasets", "models", "see", "transforms"]
