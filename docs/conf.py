"""How Sphinx makes the site out of these pages (`make docs`)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from tradeflow_core import __version__

project = "tradeflow"
author = "the tradeflow authors"
project_copyright = "2026, the tradeflow authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "pages_from_code"]
exclude_patterns = ["_ext"]

html_theme = "furo"
html_title = f"tradeflow {version}"
html_show_sphinx = False
html_copy_source = False

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
# Annotations are shown as they are written, so that `DataFrame` stays that.
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
