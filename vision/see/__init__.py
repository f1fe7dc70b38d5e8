"""Looking inside a network: how it learned, what its filters and maps show, which pixels a unit owes its value to.

    learning_curve, confusion_matrix, mistakes     how it learned
    filters, maps, activations, depth              what it has learned, and what it answers layer by layer
    saliency, guided, deconvnet                    from a unit back to the pixels
    occlusion, grad_cam                            where what counts stands in the image
    features, maximise                             what a unit is looking for
    receptive_field, show_the_work                 what a unit sees, and what it computes

Networks are any `nn.Module` for images; they run in evaluation mode and stay as they were. Results are arrays with a
`.figure()` of matplotlib's, which the caller shows or saves: `pip install "unfoldgrad[vision]"`. A unit is named by its
layer's path, as `named_modules()` has it, and an index into what the layer answers to one image.

>>> import numpy as np
>>> import nn
>>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
>>> saliency(net, np.ones((1, 8, 8), np.float32), unit=2).heat.shape
(8, 8)
"""

from vision.see.attribution import Attribution, deconvnet, guided, saliency
from vision.see.features import Features, features
from vision.see.field import ReceptiveField, receptive_field
from vision.see.figures import grid, lit, panels, picture
from vision.see.grad_cam import GradCAM, grad_cam
from vision.see.layers import activations, depth, filters, maps
from vision.see.learning import confusion_counts, confusion_matrix, learning_curve, mistakes
from vision.see.maximise import Maximised, maximise
from vision.see.occlusion import Occlusion, occlusion
from vision.see.work import Work, show_the_work

__all__ = [
    "Attribution",
    "Features",
    "GradCAM",
    "Maximised",
    "Occlusion",
    "ReceptiveField",
    "Work",
    "activations",
    "confusion_counts",
    "confusion_matrix",
    "deconvnet",
    "depth",
    "features",
    "filters",
    "grad_cam",
    "grid",
    "guided",
    "learning_curve",
    "lit",
    "maps",
    "maximise",
    "mistakes",
    "occlusion",
    "panels",
    "picture",
    "receptive_field",
    "saliency",
    "show_the_work",
]
