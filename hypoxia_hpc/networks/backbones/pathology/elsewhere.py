"""Models that are known by name and not built here: timm has no network of theirs, and nothing of a hub is executed."""

from __future__ import annotations

PLUG_IN = "a package of your own can add it, see docs/plug-ins.md"
NOT_BUILT = {
    "ctranspath": f"a Swin transformer with a stem of its own, in the package timm_ctp: {PLUG_IN}",
    "conch": f"its network is in the package conch of github.com/mahmoodlab/CONCH: {PLUG_IN}",
    "conch-v1.5": f"its network comes with TITAN's repository, and runs as code of the hub: {PLUG_IN}",
    "musk": f"its network is in the package musk of github.com/lilab-stanford/MUSK: {PLUG_IN}",
    "keep": f"its network runs as code of the hub (Astaxanthin/KEEP): {PLUG_IN}",
    "titan": "an encoder of slides, not of tiles",
    "prism": "an encoder of slides, not of tiles",
    "chief": "an encoder of slides, not of tiles",
}
