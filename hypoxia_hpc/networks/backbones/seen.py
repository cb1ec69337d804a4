"""What of a tile a vision transformer sees: resized, its middle cut out, standardised; on the device, by PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypoxia_hpc.networks.backbones.resampling import ONE, Interpolation, weights

if TYPE_CHECKING:
    import torch

Channels = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Seen:
    """The shorter side of a tile resized to ``resize_px``, then the middle ``px`` by ``px`` of it, less ``mean`` over
    ``sd`` of each channel (both for colours of 0..1). The models were trained on what Pillow made of tiles: resized
    pixels are Pillow's to the bit."""

    mean: Channels
    sd: Channels
    px: int = 224
    resize_px: int = 224
    interpolation: Interpolation = "bicubic"

    def of(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels (b, 3, height, width) of 0..255, uint8 or float -> float32 (b, 3, px, px), standardised."""
        import torch

        resized = self.resized(pixels)
        top, left = (round((side - self.px) / 2) for side in resized.shape[-2:])
        middle = resized[..., top : top + self.px, left : left + self.px].float()
        # In one step, as torchvision's ToTensor and Normalize round.
        mean, sd = (torch.tensor(one, device=pixels.device).reshape(3, 1, 1) for one in (self.mean, self.sd))
        standardised: torch.Tensor = (middle / 255 - mean) / sd
        return standardised

    def resized(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels (b, 3, height, width) of 0..255 with a shorter side of ``resize_px``, whole numbers where they are
        resized."""
        height, width = pixels.shape[-2:]
        rows, columns = (side * self.resize_px // min(height, width) for side in (height, width))
        if columns != width:
            pixels = _whole(pixels.double() @ self._weights(width, columns, pixels).T)
        if rows != height:
            pixels = _whole(self._weights(height, rows, pixels) @ pixels.double())
        return pixels

    def _weights(self, n_from: int, n_to: int, pixels: torch.Tensor) -> torch.Tensor:
        import torch

        made: torch.Tensor = torch.from_numpy(weights(n_from, n_to, self.interpolation)).to(pixels.device)
        return made


def _whole(sums: torch.Tensor) -> torch.Tensor:
    return ((sums + ONE / 2) / ONE).floor().clamp(0, 255)
