"""The site, for Sphinx: `make docs` builds it from what is stored, without a network.

Its sources lie at the project's root, so that a link from page to page is the one that a reader of
the repository follows.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "retinanet-lite"
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/api.rst", "notebooks/*.ipynb"]
exclude_patterns = [".*", "build", "runs", "tests"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
extensions += ["site_pages", "site_docstrings"]

# notebooks and documents
nb_execution_mode = "off"
nb_merge_streams = True
nb_custom_formats = {".ipynb": "site_pages.read_notebook"}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
html_math_renderer = "mathml"
smartquotes_action = "D"  # dashes; but the quotes of {"boxes": …} are code

# the package
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"special-members": "__call__"}
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # else every `forward` says what PyTorch says of it
add_module_names = False
default_role = "code"
napoleon_numpy_docstring = False
napoleon_use_param = False  # else arguments that share a line would each repeat it
highlight_language = "none"  # what a docstring sets in is text

# how it looks
html_theme = "furo"
html_title = "retinanet-lite"
html_extra_path = ["index.html"]
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_domain_indices = False
html_show_sphinx = False
html_theme_options = {
    # the notebooks' source is a script, so no page leads to its own
    "top_of_page_buttons": [],
}
