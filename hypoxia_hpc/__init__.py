"""hypoxia_hpc: from whole-slide images of tumours to predictions about patients.

The names below are loaded when they are first used, so that ``import hypoxia_hpc as hx`` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypoxia_hpc.api.estimators import AttentionMIL, FunnelMLP, LogisticTop, TanhMLP
    from hypoxia_hpc.api.features import Features, extract
    from hypoxia_hpc.api.measuring import evaluate
    from hypoxia_hpc.api.regressors import (
        AttentionRegressor,
        AttentionSurvival,
        FunnelRegressor,
        LinearRegressor,
        LinearSurvival,
    )
    from hypoxia_hpc.api.run_slides import Heatmap, RunSlide
    from hypoxia_hpc.api.runs import Run, Submission
    from hypoxia_hpc.api.slides import Level, Slide, open_slide
    from hypoxia_hpc.api.splitting import split
    from hypoxia_hpc.api.tiles import Tiles, tile
    from hypoxia_hpc.api.viewing import View, view
    from hypoxia_hpc.errors import HypoxiaError, InputError, MachineError, NotReadyError, SlideError, Stopped

__version__ = "0.1.0"

_HOMES = {
    "api.estimators": ("AttentionMIL", "FunnelMLP", "LogisticTop", "TanhMLP"),
    "api.features": ("Features", "extract"),
    "api.measuring": ("evaluate",),
    "api.regressors": (
        "AttentionRegressor",
        "AttentionSurvival",
        "FunnelRegressor",
        "LinearRegressor",
        "LinearSurvival",
    ),
    "api.run_slides": ("Heatmap", "RunSlide"),
    "api.runs": ("Run", "Submission"),
    "api.slides": ("Level", "Slide", "open_slide"),
    "api.splitting": ("split",),
    "api.tiles": ("Tiles", "tile"),
    "api.viewing": ("View", "view"),
    "errors": ("HypoxiaError", "InputError", "MachineError", "NotReadyError", "SlideError", "Stopped"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AttentionMIL",
    "AttentionRegressor",
    "AttentionSurvival",
    "Features",
    "FunnelMLP",
    "FunnelRegressor",
    "Heatmap",
    "HypoxiaError",
    "InputError",
    "Level",
    "LinearRegressor",
    "LinearSurvival",
    "LogisticTop",
    "MachineError",
    "NotReadyError",
    "Run",
    "RunSlide",
    "Slide",
    "SlideError",
    "Stopped",
    "Submission",
    "TanhMLP",
    "Tiles",
    "View",
    "__version__",
    "evaluate",
    "extract",
    "open_slide",
    "split",
    "tile",
    "view",
]


if not TYPE_CHECKING:  # a type checker knows the names above, and is to complain of others

    def __getattr__(name: str) -> object:
        """Load a name of the API (PEP 562)."""
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    """The API, without the rooms that happen to be imported."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__") and name.endswith("__"))})
