"""The engine: tensors, nodes, declarations, and the sweep."""
