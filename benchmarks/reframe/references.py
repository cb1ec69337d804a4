"""What share of its bound each case is to reach, in percent, and how far below it may be, as a part of it.

Shares of a run of `hypoxia-hpc bench` on two idle cores of an Intel Xeon (family 6, model 207); wider below where the
disk or a library decides.
"""

SHARES = {
    "averaging": (16, -0.5),
    "background": (94, -0.2),
    "bootstrap": (62, -0.3),
    "feature-store": (75, -0.4),
    "feeding": (85, -0.3),
    "feeding-slide": (85, -0.3),
    "halving": (69, -0.2),
    "inception_v3": (94, -0.2),
    "jpeg": (94, -0.15),
    "jpeg-real": (99, -0.2),
    "jpeg-screened": (107, -0.15),
    "logistic": (73, -0.3),
    "native-tiles": (81, -0.2),
    "resnet50": (100, -0.2),
    "stain": (24, -0.3),
    "tile": (105, -0.3),
    "tile-store": (90, -0.4),
    "tile-store-read": (67, -0.3),
}
