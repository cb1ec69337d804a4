"""normalise: one image file -> the same in the colours of a reference."""

from __future__ import annotations

import io
from pathlib import Path

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.slides.image_files import read_image
from hypoxia_hpc.stores.commit import committed_file
from hypoxia_hpc.tiling.stain.methods import Normalised, normalised


def normalise_file(image: Path, output: Path, method: str, reference: Path | None, glass: int) -> Normalised:
    """Read ``image``, normalise it by ``method``, write it to ``output`` as PNG. Raises InputError where the fit is not
    trusted, where a file is no image, and for an output that is there."""
    from PIL import Image

    if output.suffix.lower() != ".png":
        raise InputError(f"{output} does not end with .png", remedy="name it so: no other format is written")
    if output.exists():
        raise InputError(f"{output} is there already", remedy="remove it, or name another file")
    made = normalised(read_image(image), method, None if reference is None else read_image(reference), glass)
    written = io.BytesIO()
    Image.fromarray(made.image).save(written, "PNG")
    committed_file(output, written.getvalue())
    return made
