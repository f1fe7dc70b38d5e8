"""Random programs: whole computation graphs, drawn from what operations declare, run, differentiated and judged.

``programs()`` is a Hypothesis strategy for a ``Program``, which is data: it runs on tensors and, by NumPy, on arrays,
prints itself as source, and compares its gradients with differences. A failing one leaves a picture of its graph.
"""

from .drawn import operations, programs
from .machines import Arrays, Machine, Named, Tensors
from .program import Program
from .statements import Call, Checkpoint, Loop, NoGrad, Statement, Write

__all__ = [
    "Arrays", "Call", "Checkpoint", "Loop", "Machine", "Named", "NoGrad", "Program", "Statement", "Tensors", "Write",
    "operations", "programs",
]  # fmt: skip
