"""What share of its bound each case is to reach, in percent, and how far below it may be, as a part of it."""

SHARES = {
    "averaging": (50, -0.2),
    "background": (88, -0.2),
    "bootstrap": (50, -0.3),
    "feature-store": (50, -0.5),
    "feeding": (50, -0.3),
    "halving": (50, -0.2),
    "inception_v3": (90, -0.2),
    "jpeg": (90, -0.2),
    "jpeg-real": (80, -0.2),
    "jpeg-screened": (100, -0.2),
    "logistic": (50, -0.3),
    "resnet50": (90, -0.2),
    "stain": (50, -0.3),
    "tile": (80, -0.3),
    "tile-store": (80, -0.3),
    "tile-store-read": (50, -0.3),
}
