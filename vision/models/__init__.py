"""The networks of the history of vision, as published and as they are used today.

>>> import nn
>>> from vision import models
>>> nn.summary(models.lenet5("paper"), (1, 1, 32, 32)).trainable
60000
"""

from vision.models.alexnet import alexnet
from vision.models.googlenet import googlenet
from vision.models.lenet import lenet5
from vision.models.neocognitron import neocognitron
from vision.models.resnet import resnet, resnet18, resnet34, resnet50, resnet101, resnet152
from vision.models.squeezenet import squeezenet, squeezenet1_0, squeezenet1_1
from vision.models.vgg import vgg, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
from vision.models.zfnet import zfnet

__all__ = [
    "alexnet",
    "googlenet",
    "lenet5",
    "neocognitron",
    "resnet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "squeezenet",
    "squeezenet1_0",
    "squeezenet1_1",
    "vgg",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "zfnet",
]
