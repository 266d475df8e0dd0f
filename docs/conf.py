"""How Sphinx builds these pages: `make docs`. Pages are Markdown (MyST); a warning is an error."""

import importlib.metadata
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

project = "melmill"
author = "the authors of melmill"
project_copyright = "the authors of melmill, MIT licence"
version = release = importlib.metadata.version("melmill")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "melmill_docs"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_ext"]
templates_path: list[str] = []

# Furo: maintained, one column of text that reads well on a phone, a dark side, and no framework to keep up with.
html_theme = "furo"
html_title = "melmill"
html_show_sphinx = False

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
# What runs on a card or trains nets is not needed to read docstrings.
autodoc_mock_imports = ["torch"]
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# Every link within these pages is checked, and every name of melmill's that has an entry here. Names of other projects
# and of melmill's inner modules have none.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!pipeline\.[A-Za-z_]+$).*")]
