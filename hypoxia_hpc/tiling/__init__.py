"""Which tiles a slide has, which of them are kept, and how they are cut."""
