"""Networks applied to tiles: engines, devices, feeding."""
