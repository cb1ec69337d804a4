"""Properties of a network that are known before it is built, and the networks that other installed packages add.

A package adds one with an entry point of the group ``hypoxia_hpc.backbones`` that names a :class:`Network` (or what
``timm_networks.timm_network`` makes). Its module must not import Keras when it is imported.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hypoxia_hpc.errors import InputError, MachineError
from hypoxia_hpc.networks.backbones.initialisation import HE, RANDOM_RULE, RandomRule, fill_at_random
from hypoxia_hpc.networks.backbones.loading import load_weights
from hypoxia_hpc.networks.backbones.preprocessing import Preprocess, unchanged
from hypoxia_hpc.networks.backbones.weights import HDF5, SAFETENSORS, KnownFile

if TYPE_CHECKING:
    import keras

GROUP = "hypoxia_hpc.backbones"


@dataclass(frozen=True, slots=True)
class Network:
    """A network without its top.

    ``build(tile_px)`` gives a Keras model: preprocessed pixels float32 (b, tile_px, tile_px, 3) -> (b, feature_length).
    It imports Keras itself, and keeps to ``keras.*`` and ``keras.ops``. Keras' dtype policy is set around the call.
    ``preprocess`` stands before it. ``min_px`` is the smallest tile that it takes; ``px`` the only one, where it takes
    but one. ``rule`` is raised when the features of the same weights change: it enters their key. ``known`` is the file
    of `weights = "imagenet"`, and ``mend`` what has to be done to a model after that file was loaded.
    """

    build: Callable[[int], keras.Model]
    feature_length: int
    preprocess: Preprocess = unchanged
    min_px: int = 1
    px: int | None = None
    rule: int = 1
    random: RandomRule = HE
    known: KnownFile | None = None
    mend: Callable[[keras.Model], None] | None = None
    suffixes: ClassVar[tuple[str, ...]] = (HDF5, SAFETENSORS)

    def length_at(self, name: str, tile_px: int) -> int:
        """Feature length for tiles of this size. Raises InputError where the network does not take them."""
        if self.px is not None and tile_px != self.px:
            raise unfit_tiles(name, tile_px, f"takes {self.px} px and no other", f"to {self.px}")
        if tile_px < self.min_px:
            raise unfit_tiles(name, tile_px, f"takes {self.min_px} px and more", f"to {self.min_px} or more")
        return self.feature_length

    def random_digest(self, seed: int) -> str:
        return f"random:{RANDOM_RULE}:{seed}"

    def fill(self, model: keras.Model, seed: int) -> None:
        """Random weights, the same on every machine and backend."""
        fill_at_random(model, seed, self.random)

    def load(self, model: keras.Model, path: Path, name: str, *, published: bool) -> None:
        """Weights from a file that `weights.find_weights` found. Raises InputError where they are another network's."""
        load_weights(model, path, name, published=published)
        if published and self.mend is not None:
            self.mend(model)


def unfit_tiles(name: str, tile_px: int, rule: str, remedy: str) -> InputError:
    """The error for tiles that a network does not take."""
    return InputError(
        f"[tile] tile_px = {tile_px} does not fit {name}, which {rule}",
        remedy=f"set tile_px {remedy}, or choose another [extract] backbone",
    )


def installed_networks() -> dict[str, list[EntryPoint]]:
    """Networks of other packages, by name; more than one under a name is an error when that name is used."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


def load_entry(name: str, entries: list[EntryPoint], *, taken: bool) -> object:
    """The object that the entry point of this name gives; ``taken``: keras.applications has a network of the name.
    Raises InputError (two of one name, its module fails), MachineError (something is missing here)."""
    if taken or len(entries) > 1:
        raise InputError(
            f"[extract] backbone = {name!r}: more than one network goes by this name",
            offending=[*(["keras.applications"] if taken else []), *(_told(entry) for entry in entries)],
            remedy="uninstall what you do not want, or give the network another name there",
        )
    try:
        return entries[0].load()
    except Exception as error:
        # What is missing here may be in an image; a module that fails does so there, too.
        kind = MachineError if isinstance(error, (ImportError, AttributeError)) else InputError
        raise kind(
            f"the network {name!r} of an installed package cannot be loaded: {type(error).__name__}: {error}",
            offending=[_told(entries[0])],
            remedy="install that package again, with what it needs, or choose another [extract] backbone",
        ) from error


def not_a_network(name: str, entry: EntryPoint, found: object) -> InputError:
    return InputError(
        f"the network {name!r} of an installed package is of type {type(found).__name__}, not a Network",
        offending=[_told(entry)],
        remedy="let the entry point name a hypoxia_hpc.networks.backbones.registry.Network",
    )


def _told(entry: EntryPoint) -> str:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown package"
    return f"{package}: {entry.value}"


def unknown_network(name: str, known: Sequence[str]) -> InputError:
    """The error for an unknown name, with the known names that resemble it."""
    plain = _plain(name)
    names = {_plain(one): one for one in known}
    meant = [names[plain]] if plain in names else [one for one in known if plain in _plain(one)]
    meant = meant or [names[one] for one in difflib.get_close_matches(plain, names, cutoff=0.75)]
    hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
    return InputError(
        f"[extract] backbone = {name!r} is no network that is known here{hint}",
        remedy="hypoxia-hpc backbones lists those that are known; timm:NAME for one of timm",
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
