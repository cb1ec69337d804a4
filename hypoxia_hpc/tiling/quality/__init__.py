"""Quality of a slide, measured on a coarse image of it and on squares of tissue."""
