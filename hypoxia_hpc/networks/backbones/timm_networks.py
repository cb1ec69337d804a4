"""Any network of timm, by name: pathology's foundation models are vision transformers that timm builds.

It is a PyTorch module, so Keras has to run on PyTorch. Nothing is fetched: the weights are a safetensors file.
"""

from __future__ import annotations

import difflib
import functools
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hypoxia_hpc.errors import InputError, MachineError
from hypoxia_hpc.machine.memory import free_memory
from hypoxia_hpc.networks.backbones.hub_keys import HubKeys
from hypoxia_hpc.networks.backbones.loading import read_tensors
from hypoxia_hpc.networks.backbones.memory import COPIES_ON_HOST, require_room
from hypoxia_hpc.networks.backbones.positions import on_grid, with_grid_of
from hypoxia_hpc.networks.backbones.preprocessing import Preprocess, standardised, unchanged
from hypoxia_hpc.networks.backbones.registry import unfit_tiles
from hypoxia_hpc.networks.backbones.seen import Channels, Seen
from hypoxia_hpc.networks.backbones.weights import SAFETENSORS
from hypoxia_hpc.networks.runtime import require_torch

if TYPE_CHECKING:
    import keras
    import torch

PREFIX = "timm:"
# BatchNorm counts its batches here; features do not depend on it.
UNUSED = ".num_batches_tracked"
SAVED_BY_TIMM = "name the weights of this network of timm ([extract] backbone), its state_dict saved as safetensors"
# What makes the feature: what timm pools, or the class token and behind it the mean of the patches' tokens.
Tokens = Literal["pooled", "class and mean"]


def timm_network(
    name: str, *, mean: Channels | None = None, sd: Channels | None = None, rule: int = 1, **arguments: Any
) -> TimmNetwork:
    """The network that ``timm.create_model(name, num_classes=0, **arguments)`` makes, with pooled features.

    ``mean`` and ``sd`` of a channel (0..1) are timm's for this name where they are not given, ``rule`` is as in
    `registry.Network`. A package that adds a network names what this returns in its entry point; timm itself is
    imported when the network is used.
    """
    return TimmNetwork(name, tuple(sorted(arguments.items())), mean, sd, rule)


@dataclass(frozen=True, slots=True)
class TimmNetwork:
    """A network of timm, with what `registry.Network` has. ``arguments`` go to ``timm.create_model``; of them
    ``mlp_layer`` is a name of timm.layers, and ``norm_eps`` that of LayerNorm.

    A foundation model is ``called`` by a name of its own. It has ``seen`` in place of ``mean`` and ``sd``: tiles of any
    size become what it sees. ``keys`` are the names in its file where they are not timm's.
    """

    name: str
    arguments: tuple[tuple[str, Any], ...] = ()
    mean: Channels | None = None
    sd: Channels | None = None
    rule: int = 1
    called: str = ""
    seen: Seen | None = None
    tokens: Tokens = "pooled"
    keys: HubKeys | None = None
    known: ClassVar[None] = None
    suffixes: ClassVar[tuple[str, ...]] = (SAFETENSORS,)

    @property
    def title(self) -> str:
        """As it stands in [extract] backbone."""
        return self.called or f"{PREFIX}{self.name}"

    @property
    def preprocess(self) -> Preprocess:
        if self.seen is not None:
            return unchanged  # what is resized is standardised after it
        settings = _outline(self).pretrained_cfg
        return standardised(self.mean or settings["mean"], self.sd or settings["std"])

    def length_at(self, name: str, tile_px: int) -> int:
        """Feature length for tiles of this size, found by a run on shapes alone. Raises InputError (a name that timm
        does not know, tiles that the network does not take), MachineError (timm or PyTorch is not installed, Keras
        runs on another backend)."""
        outline = _outline(self)
        try:
            shape = _shape_of_features(self, tile_px)
        except (AssertionError, RuntimeError) as error:
            side = outline.pretrained_cfg["input_size"][-1]
            raise unfit_tiles(name, tile_px, f"says: {error}", f"to {side}, which it was made for") from error
        if len(shape) != 2:
            raise InputError(
                f"{name} gives no vector for a tile: its result has the shape {shape}",
                remedy="choose a network of timm that pools its features",
            )
        return shape[1]

    def build(self, tile_px: int) -> keras.Model:
        """Preprocessed pixels float32 (b, tile_px, tile_px, 3) -> float32 (b, d), at the precision of Keras' policy.
        Raises MachineError where there is no memory for it."""
        import keras

        _require_room(self)
        module = _features_module(self, _create(self), keras.config.dtype_policy().compute_dtype)
        length = _shape_of_features(self, tile_px)[1]
        layer = keras.layers.TorchModuleWrapper(module, name="timm", output_shape=(None, length), dtype="float32")
        # Keras registers the parameters, but not the statistics of BatchNorm. Both share memory with the module.
        layer.moving = [keras.Variable(one, trainable=False) for one in module.buffers() if one.is_floating_point()]
        pixels = keras.Input((tile_px, tile_px, 3))
        return keras.Model(pixels, layer(pixels), name="timm_network")

    def random_digest(self, seed: int) -> str:
        """Names the versions too: PyTorch draws the weights, and another version may draw other numbers."""
        made_by = [f"{package}-{importlib.metadata.version(package)}" for package in ("timm", "torch")]
        return ":".join(["random", *made_by, str(seed)])

    def fill(self, model: keras.Model, seed: int) -> None:
        """Random weights as timm draws them."""
        import torch

        with torch.random.fork_rng():
            torch.manual_seed(seed)
            _module_of(model).load_state_dict(_create(self).state_dict())

    def load(self, model: keras.Model, path: Path, name: str, *, published: bool) -> None:
        """Every tensor of the file by its name in timm; a classifier, which is not built here, is ignored. Raises
        InputError where they are another network's."""
        import torch

        module = _module_of(model)
        shapes = {one: tuple(tensor.shape) for one, tensor in module.state_dict().items()}
        unused = [one for one in shapes if one.endswith(UNUSED)]
        named = with_grid_of(path, self.keys.shapes(shapes) if self.keys else shapes)
        may_have = (*_classifiers(self), *(self.keys.ignored if self.keys else ()))
        tensors = read_tensors(path, named, name, may_lack=unused, may_have=may_have, remedy=_remedy(self))
        if self.keys:
            tensors = self.keys.tensors(shapes, tensors)
        # As transformers and timm do, each with files of its own.
        tensors = on_grid(tensors, shapes, antialias=self.keys is None)
        found = {one: torch.from_numpy(values) for one, values in tensors.items()}
        module.load_state_dict(found, strict=False)


def _remedy(network: TimmNetwork) -> str:
    if not network.called:
        return SAVED_BY_TIMM
    return f"name the file that the makers of {network.called} publish, as safetensors"


def _require_timm(network: TimmNetwork) -> None:
    missing = [package for package in ("timm", "torch") if importlib.util.find_spec(package) is None]
    if missing:
        raise MachineError(
            f"{network.title} needs {' and '.join(missing)}, not installed here",
            remedy="pip install 'hypoxia-hpc[torch,timm]', or use the image of hypoxia-hpc image gpu-torch",
        )
    require_torch(network.title)


def _require_room(network: TimmNetwork) -> None:
    """Raises MachineError where the memory of the host, which loads it, or of the GPU is too small."""
    import torch

    n = sum(one.numel() for one in _outline(network).parameters())
    require_room(network.title, n, free_memory(), COPIES_ON_HOST, "of this machine")
    if torch.cuda.is_available():
        require_room(network.title, n, torch.cuda.mem_get_info()[0], 1, "of the GPU")


def products_a_tile(network: TimmNetwork) -> float | None:
    """Multiply-adds of a vision transformer for a tile that it sees at ``seen.px``: each weight of its blocks once a
    token, and each token with each other one. None for other networks."""
    outline = _outline(network)
    if not network.seen or not hasattr(outline, "blocks") or not hasattr(outline, "patch_embed"):
        return None
    n_tokens = (network.seen.px // outline.patch_embed.patch_size[0]) ** 2 + outline.num_prefix_tokens
    weights = sum(one.numel() for one in outline.blocks.parameters())
    return float(n_tokens * (weights + 2 * n_tokens * outline.embed_dim * len(outline.blocks)))


def _create(network: TimmNetwork) -> torch.nn.Module:
    _require_timm(network)
    import timm

    arguments = {"num_classes": 0, **_objects(dict(network.arguments))}
    try:
        module: torch.nn.Module = timm.create_model(network.name, pretrained=False, **arguments)
    except (RuntimeError, TypeError) as error:
        alike = _alike(network.name)
        raise InputError(
            f"timm {timm.__version__} does not make the network {network.name!r}: {error}",
            remedy="timm.list_models() names its networks" + (f"; some like it: {', '.join(alike)}" if alike else ""),
        ) from error
    return module.eval()


def _objects(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments that timm takes as objects alone, from what describes them."""
    import timm
    import torch

    if "mlp_layer" in arguments:
        arguments["mlp_layer"] = getattr(timm.layers, arguments["mlp_layer"])
    if "norm_eps" in arguments:
        arguments["norm_layer"] = functools.partial(torch.nn.LayerNorm, eps=arguments.pop("norm_eps"))
    return arguments


def _alike(name: str) -> list[str]:
    import timm

    return difflib.get_close_matches(name.partition(".")[0], timm.list_models(), n=5)


@functools.lru_cache(maxsize=4)
def _outline(network: TimmNetwork) -> Any:
    """The network without memory for its weights."""
    _require_timm(network)
    import torch

    with torch.device("meta"):
        return _create(network)


def _shape_of_features(network: TimmNetwork, tile_px: int) -> tuple[int, ...]:
    import torch

    px = network.seen.px if network.seen else tile_px
    with torch.no_grad():
        return tuple(_features(network, _outline(network), torch.zeros(1, 3, px, px, device="meta")).shape)


def _features(network: TimmNetwork, module: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Of standardised pixels (b, 3, px, px)."""
    import torch

    if network.tokens == "pooled":
        pooled: torch.Tensor = module(pixels)
        return pooled
    tokens = module.forward_features(pixels)
    return torch.cat([tokens[:, 0], tokens[:, module.num_prefix_tokens :].mean(1)], dim=-1)


def _classifiers(network: TimmNetwork) -> tuple[str, ...]:
    named = _outline(network).pretrained_cfg.get("classifier") or ()
    return (named,) if isinstance(named, str) else tuple(named)


def _module_of(model: keras.Model) -> Any:
    return model.get_layer("timm").module.network


def _features_module(made: TimmNetwork, network: torch.nn.Module, compute_dtype: str) -> torch.nn.Module:
    """Pixels with their channels last, as Keras has them -> features in float32. At float16 and bfloat16 PyTorch's
    autocast decides what is computed in which precision, as these models' makers have it; weights stay float32."""
    import torch

    in_16_bits = torch.float16 if compute_dtype == "float16" else torch.bfloat16

    class Features(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            halved = compute_dtype != "float32"
            first = pixels.permute(0, 3, 1, 2)
            seen = made.seen.of(first) if made.seen else first
            with torch.autocast(pixels.device.type, in_16_bits, enabled=halved):
                features = _features(made, self.network, seen)
            return features.float()

    return Features()
