"""The verb backbones: which networks go by a name."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from hypoxia_hpc.cli.options import JSON, say_json
from hypoxia_hpc.cli.terminal import say
from hypoxia_hpc.cli.text.words import table

if TYPE_CHECKING:
    from hypoxia_hpc.networks.backbones.listing import Listed

HEADER = ("name", "features", "sees px", "tiles, µm/px", "weights here", "at the hub", "licence", "repository")


@click.command(short_help="Networks by name: feature length, µm/px, licence; are their weights here?")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@JSON
def backbones(names: tuple[str, ...], as_json: bool) -> int:
    """Networks that [extract] backbone takes by name, foundation models of pathology first; all, or those NAMEd.

    \b
    For a foundation model:
      1. where it is "gated": agree to the terms on its page at the hub, and make a token there
      2. hypoxia-hpc weights fetch NAME --token-file FILE    (a file that you have: weights convert)
      3. in run.toml, [extract]: backbone = NAME
    They run on PyTorch, which is chosen by itself: pip install 'hypoxia-hpc[torch,timm]'. Tiles of any size are resized
    on the device as the model's makers do it. Nothing of a hub is executed.

    Every other network of timm can be named, too: timm:NAME.
    """
    from hypoxia_hpc.networks.backbones.listing import listed_networks
    from hypoxia_hpc.networks.backbones.resolve import find_network
    from hypoxia_hpc.networks.backbones.weights import default_folder

    for name in names:
        find_network(name)  # an unknown one is an error, and the alike are named
    found = [one for one in listed_networks(default_folder()) if not names or one.name in names]
    if as_json:
        say_json([asdict(one) for one in found])
        return 0
    say(table(HEADER, [_row(one) for one in found]))
    for one in found if names else []:
        if one.checked:
            say(f"{one.name}: compared with {'; '.join(one.checked)}")
        if one.unchecked:
            say(f"{one.name}: not confirmed by what could be read: {', '.join(one.unchecked)}")
    return 0


def _row(one: Listed) -> list[str]:
    return [
        one.name,
        f"{one.feature_length:,}",
        str(one.input_px or "any"),
        f"{one.tile_px} px at {one.mpp:g}" if one.tile_px else "",
        "yes" if one.weights_here else "no",
        one.gate.partition(":")[0],
        one.licence,
        one.repository,
    ]
