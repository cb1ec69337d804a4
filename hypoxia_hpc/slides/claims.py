"""What a header claims of the size of a slide, judged before a library acts on it.

OpenSlide makes room for what a header says: one tag of an NDPI file (2^31 - 1 rows) took 6.4 GB, and a DICOM file of
5.5 KB that claims 640 x 300,000,000 pixels took a minute and more.
"""

from __future__ import annotations

from pathlib import Path

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.dicom import Matrix, claimed_matrices
from hypoxia_hpc.slides.tiff import claimed_sizes

# A slide of glass is 76 mm x 52 mm at most; light shows nothing finer than 0.02 µm: 3.8 million x 2.6 million pixels.
# All that was ever scanned is far below 10^12 pixels, and a page of that number costs OpenSlide some 200 MB.
MOST_SIDE_PX, MOST_PX = 4_000_000, 10**12
MOST_FRAMES = 4_000_000


def refuse_absurd(path: Path) -> None:
    """Raises SlideError ``absurd-size`` for a TIFF file (NDPI is one) or a DICOM file whose header claims more pixels
    than a slide has, or none. Other files, and files that cannot be read, pass: who opens them says what is wrong."""
    try:
        sizes = claimed_sizes(path)
        matrices = [] if sizes else claimed_matrices(path)
    except OSError:
        return
    for width, height in sizes:
        _refuse_pixels(path, width, height)
    for matrix in matrices:
        _refuse_matrix(path, matrix)


def _refuse_matrix(path: Path, matrix: Matrix) -> None:
    _refuse_pixels(path, matrix.width, matrix.height)
    if min(matrix.frame_width, matrix.frame_height) < 1:
        raise _absurd(path, f"frames of {matrix.frame_width:,} x {matrix.frame_height:,} px")
    frames = -(-matrix.width // matrix.frame_width) * -(-matrix.height // matrix.frame_height)
    if frames > MOST_FRAMES:
        raise _absurd(path, f"{frames:,} frames, more than {MOST_FRAMES:,}")


def _refuse_pixels(path: Path, width: int, height: int) -> None:
    if width < 1 or height < 1 or max(width, height) > MOST_SIDE_PX or width * height > MOST_PX:
        raise _absurd(path, f"{width:,} x {height:,} px")


def _absurd(path: Path, claim: str) -> SlideError:
    return SlideError(
        "absurd-size",
        f"{path}: the header claims {claim}, which no slide has",
        remedy="fetch the file again, or leave it out",
    )
