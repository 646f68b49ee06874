"""Brings numbers that are no shades of a screen, as science keeps them, into 256 shades of grey. Knows no format."""

import numpy as np
from PIL import Image as Pillow

_MIDDLE = 128


def scaled(picture: Pillow.Image) -> Pillow.Image:
    """Its least value black, its greatest white; of one value all over, grey. What is no number counts as the least."""
    values = np.asarray(picture, dtype=np.float64)
    there = np.isfinite(values)
    if not there.any():
        return Pillow.new("L", picture.size, _MIDDLE)
    least, most = values[there].min(), values[there].max()
    if least == most:
        return Pillow.new("L", picture.size, _MIDDLE)
    shades = (np.where(there, values, least) - least) * (255 / (most - least))
    return Pillow.fromarray(np.rint(shades).astype(np.uint8))
