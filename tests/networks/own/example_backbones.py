"""Two networks of one's own: a small one built with Keras, and one of timm with settings of its own.

Their names are entry points of the package that holds this module (pyproject.toml):

    [project.entry-points."hypoxia_hpc.backbones"]
    small = "example_backbones:SMALL"
    small_vit = "example_backbones:SMALL_VIT"

In run.toml: [extract] backbone = "small", weights = "small.weights.h5" (or .safetensors), weights_sha256 = its SHA-256.
"""

from hypoxia_hpc.networks.backbones.preprocessing import scaled_to_one
from hypoxia_hpc.networks.backbones.registry import Network
from hypoxia_hpc.networks.backbones.timm_networks import timm_network


def build_small(tile_px):
    import keras

    pixels = keras.Input((tile_px, tile_px, 3))
    x = pixels
    for width in (16, 32, 64):
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", activation="relu", name=f"conv_{width}")(x)
    return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x))


SMALL = Network(build_small, feature_length=64, preprocess=scaled_to_one, min_px=16)
SMALL_VIT = timm_network("vit_tiny_patch16_224", img_size=64, init_values=1e-5)
