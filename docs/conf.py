"""Settings of Sphinx: `make docs` builds the pages into build/docs, with warnings as errors."""

from hypoxia_hpc import __version__

project = "hypoxia_hpc"
release = version = __version__
copyright = "the authors of hypoxia_hpc, Apache-2.0"  # noqa: A001 - Sphinx's name

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["README.md"]

html_theme = "furo"
html_title = "hypoxia_hpc"
html_static_path: list[str] = []

# Annotations are printed as they are written, so that nothing heavy is imported to resolve them.
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
suppress_warnings = ["ref.python"]
napoleon_use_ivar = True
