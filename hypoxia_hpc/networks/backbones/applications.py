"""The networks of keras.applications by name: a table, so that their names are known without importing Keras.

Files and hashes are those that keras.applications publishes for ``include_top=False``; a test compares all of the table
with Keras. For MobileNet and MobileNetV2 it publishes no hash, so their files are not known here.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from hypoxia_hpc.networks.backbones.initialisation import RandomRule
from hypoxia_hpc.networks.backbones.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_SD,
    less_mean,
    scaled_to_one,
    standardised,
    unchanged,
)
from hypoxia_hpc.networks.backbones.registry import Network
from hypoxia_hpc.networks.backbones.weights import KnownFile

if TYPE_CHECKING:
    import keras

# Function of keras.applications, feature length, MD5 or SHA-256 of the file ("" if unknown), number of its weights.
Row = tuple[str, int, str, int]

GOOGLE = "https://storage.googleapis.com"
KERAS = f"{GOOGLE}/tensorflow/keras-applications"
NO_TOP = "weights_tf_dim_ordering_tf_kernels_notop.h5"


def _build(application: str, tile_px: int) -> keras.Model:
    import keras

    build = getattr(keras.applications, application)
    model: keras.Model = build(include_top=False, weights=None, input_shape=(tile_px, tile_px, 3), pooling="avg")
    return model


def _family(rows: dict[str, Row], url: str = "", file: str = "", **settings: Any) -> dict[str, Network]:
    """Networks of one kind. ``file`` is the name that Keras gives the file, where it is not that of ``url``. In both
    {name} stands for the network's name here, {flat} for it without underscores, {tail} for its last part."""
    networks = {}
    for name, (function, length, digest, n_weights) in rows.items():
        parts = {"name": name, "flat": name.replace("_", ""), "tail": name.rpartition("_")[2]}
        place = url.format(**parts)
        file_name = file.format(**parts) or place.rpartition("/")[2]
        known = KnownFile(file_name, place, digest, most_bytes=most_bytes(n_weights)) if digest else None
        networks[name] = Network(functools.partial(_build, function), length, known=known, **settings)
    return networks


def most_bytes(n_weights: int) -> int:
    """More than an HDF5 file of this number of float32 weights has: names and places take some megabytes."""
    return 4 * n_weights * 21 // 20 + 2**23


def _divide_by_deviation(model: keras.Model) -> None:
    """With ImageNet's weights Keras' EfficientNet divides a second time, by the root of ImageNet's deviations, because
    the file holds deviations in place of variances (tensorflow#49930). Here the same is done within the variances."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            variance = keras.ops.convert_to_numpy(layer.adapt_variance)
            layer.adapt_variance.assign(variance * np.array(IMAGENET_SD, dtype=np.float32))
            layer.finalize_state()


INCEPTIONS: dict[str, Row] = {
    "inception_resnet_v2": ("InceptionResNetV2", 1536, "d19885ff4a710c122648d3b5c3b684e4", 54_336_736),
    "inception_v3": ("InceptionV3", 2048, "bcbd6486424b2319ff4ef7d526e38f63", 21_802_784),
}
XCEPTION: dict[str, Row] = {"xception": ("Xception", 2048, "b0042744bf5b25fce3cb969f33bebb97", 20_861_480)}
RESNETS: dict[str, Row] = {
    "resnet50": ("ResNet50", 2048, "4d473c1dd8becc155b73f8504c6f6626", 23_587_712),
    "resnet101": ("ResNet101", 2048, "88cf7a10940856eca736dc7b7e228a21", 42_658_176),
    "resnet152": ("ResNet152", 2048, "ee4c566cf9a93f14d82f913c2dc6dd0c", 58_370_944),
}
RESNETS_V2: dict[str, Row] = {
    "resnet50_v2": ("ResNet50V2", 2048, "fac2f116257151a9d068a22e544a4917", 23_564_800),
    "resnet101_v2": ("ResNet101V2", 2048, "c0ed64b8031c3730f411d2eb4eea35b5", 42_626_560),
    "resnet152_v2": ("ResNet152V2", 2048, "ed17cf2e0169df9d443503ef94b23b33", 58_331_648),
}
VGGS: dict[str, Row] = {
    "vgg16": ("VGG16", 512, "6d6bbae143d832006294945121d1f1fc", 14_714_688),
    "vgg19": ("VGG19", 512, "253f8cb515780f3b799900260a226db6", 20_024_384),
}
DENSENETS: dict[str, Row] = {
    "densenet121": ("DenseNet121", 1024, "30ee3e1110167f948a6b9946edeeb738", 7_037_504),
    "densenet169": ("DenseNet169", 1664, "b8c4d4c20dd625c148057b9ff1c1176b", 12_642_880),
    "densenet201": ("DenseNet201", 1920, "c13680b51ded0fb44dff2d8f86ac8bb1", 18_321_984),
}
NASNETS: dict[str, Row] = {
    "nasnet_large": ("NASNetLarge", 4032, "d81d89dc07e6e56530c4e77faddd61b5", 84_916_818),
    "nasnet_mobile": ("NASNetMobile", 1056, "1ed92395b5b598bdda52abe5c0dbfd63", 4_269_716),
}
MOBILENETS: dict[str, Row] = {
    "mobilenet": ("MobileNet", 1024, "", 0),
    "mobilenet_v2": ("MobileNetV2", 1280, "", 0),
}
MOBILENETS_V3: dict[str, Row] = {
    "mobilenet_v3_large": ("MobileNetV3Large", 960, "07fb09a5933dd0c8eaafa16978110389", 2_996_352),
    "mobilenet_v3_small": ("MobileNetV3Small", 576, "d3e8ec802a04aa4fc771ee12a9a9b836", 939_120),
}
EFFICIENTNETS: dict[str, Row] = {
    "efficientnet_b0": ("EfficientNetB0", 1280, "50bc09e76180e00e4465e1a485ddc09d", 4_049_571),
    "efficientnet_b1": ("EfficientNetB1", 1280, "74c4e6b3e1f6a1eea24c589628592432", 6_575_239),
    "efficientnet_b2": ("EfficientNetB2", 1408, "111f8e2ac8aa800a7a99e3239f7bfb39", 7_768_569),
    "efficientnet_b3": ("EfficientNetB3", 1536, "af6d107764bb5b1abb91932881670226", 10_783_535),
    "efficientnet_b4": ("EfficientNetB4", 1792, "ebc24e6d6c33eaebbd558eafbeedf1ba", 17_673_823),
    "efficientnet_b5": ("EfficientNetB5", 2048, "38879255a25d3c92d5e44e04ae6cec6f", 28_513_527),
    "efficientnet_b6": ("EfficientNetB6", 2304, "9ecce42647a20130c1f39a5d4cb75743", 40_960_143),
    "efficientnet_b7": ("EfficientNetB7", 2560, "cbcfe4450ddf6f3ad90b1b398090fe4a", 64_097_687),
}
EFFICIENTNETS_V2: dict[str, Row] = {
    "efficientnet_v2_b0": ("EfficientNetV2B0", 1280, "893217f2bb855e2983157299931e43ff", 5_919_312),
    "efficientnet_v2_b1": ("EfficientNetV2B1", 1280, "0e80663031ca32d657f9caa404b6ec37", 6_931_124),
    "efficientnet_v2_b2": ("EfficientNetV2B2", 1408, "1dfe2e7a5d45b6632553a8961ea609eb", 8_769_374),
    "efficientnet_v2_b3": ("EfficientNetV2B3", 1536, "f6abf7b5849ac99a89b50dd3fd532856", 12_930_622),
    "efficientnet_v2_l": ("EfficientNetV2L", 1280, "b0b66b5c863aef5b46e8608fe1711615", 117_746_848),
    "efficientnet_v2_m": ("EfficientNetV2M", 1280, "1b8dc055df72dde80d614482840fe342", 53_150_388),
    "efficientnet_v2_s": ("EfficientNetV2S", 1280, "af0682fb74e8c54910f2d4393339c070", 20_331_360),
}
CONVNEXTS: dict[str, Row] = {
    "convnext_tiny": (
        "ConvNeXtTiny",
        768,
        "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
        27_820_128,
    ),
    "convnext_small": (
        "ConvNeXtSmall",
        768,
        "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
        49_454_688,
    ),
    "convnext_base": (
        "ConvNeXtBase",
        1024,
        "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
        87_566_464,
    ),
    "convnext_large": (
        "ConvNeXtLarge",
        1536,
        "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
        196_230_336,
    ),
    "convnext_xlarge": (
        "ConvNeXtXLarge",
        2048,
        "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
        348_147_968,
    ),
}

# Random weights: branches that end in these layers are added to a trunk. The gains were found by trial, so that
# features of noise have a standard deviation of 0.01 to 10: swish and gates shrink activations, sums let them grow.
MBCONV_ENDS = r"block\d+[b-z]_project_conv"
MOBILE_V2_ENDS = r"block_(2|4|5|7|8|9|11|12|14|15)_project"
MOBILE_V3_ENDS = r"expanded_conv_(2|4|5|7|8|9|10|11|13|14)_project"
NETWORKS: dict[str, Network] = {
    **_family(INCEPTIONS, KERAS + "/{name}/{name}_" + NO_TOP, preprocess=scaled_to_one, min_px=75),
    **_family(
        XCEPTION,
        KERAS + "/{name}/{name}_" + NO_TOP,
        preprocess=scaled_to_one,
        min_px=71,
        random=RandomRule(residual_ends=r"block\d+_sepconv[23]"),
    ),
    **_family(
        RESNETS,
        KERAS + "/resnet/{flat}_" + NO_TOP,
        preprocess=less_mean,
        min_px=32,
        random=RandomRule(half_range=128, residual_ends=r".*_3_conv"),
    ),
    **_family(
        RESNETS_V2,
        KERAS + "/resnet/{flat}_" + NO_TOP,
        preprocess=scaled_to_one,
        min_px=32,
        random=RandomRule(residual_ends=r".*_3_conv"),
    ),
    **_family(
        VGGS,
        KERAS + "/{name}/{name}_" + NO_TOP,
        preprocess=less_mean,
        min_px=32,
        random=RandomRule(half_range=128),
    ),
    **_family(
        DENSENETS,
        KERAS + "/densenet/{name}_" + NO_TOP,
        preprocess=standardised(IMAGENET_MEAN, IMAGENET_SD),
        min_px=32,
    ),
    **_family(
        NASNETS,
        KERAS + "/nasnet/NASNet-{tail}-no-top.h5",
        "{name}_no_top.h5",
        preprocess=scaled_to_one,
        min_px=32,
        random=RandomRule(gain=0.8),
    ),
    **_family(MOBILENETS, preprocess=scaled_to_one, min_px=32, random=RandomRule(residual_ends=MOBILE_V2_ENDS)),
    **_family(
        MOBILENETS_V3,
        KERAS + "/mobilenet_v3/weights_{name}_224_1.0_float_no_top_v2.h5",
        preprocess=unchanged,
        min_px=32,
        random=RandomRule(residual_ends=MOBILE_V3_ENDS, gain=1.15),
    ),
    **_family(
        EFFICIENTNETS,
        GOOGLE + "/keras-applications/{flat}_notop.h5",
        preprocess=unchanged,
        min_px=32,
        random=RandomRule(residual_ends=MBCONV_ENDS, gain=1.4),
        mend=_divide_by_deviation,
    ),
    **_family(
        EFFICIENTNETS_V2,
        KERAS + "/efficientnet_v2/efficientnetv2-{tail}_notop.h5",
        preprocess=unchanged,
        min_px=32,
        random=RandomRule(residual_ends=MBCONV_ENDS, gain=1.1),
    ),
    **_family(CONVNEXTS, KERAS + "/convnext/{name}_notop.h5", preprocess=unchanged, min_px=32),
}
