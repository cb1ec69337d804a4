"""Slide files: headers, readers, codecs, costs, fingerprints."""
