"""Sphinx: `make docs` builds the pages of this folder into docs/_build/html."""

import inspect
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import mmum  # noqa: E402

project = 'mmum'
author = copyright = 'The mmum authors'
release = mmum.__version__
extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx_copybutton',
]
source_suffix = {'.md': 'markdown'}
exclude_patterns = ['_build', 'results/*.md', 'notebooks/*']
html_theme = 'furo'
html_title = f'mmum {release}'
myst_heading_anchors = 3
myst_enable_extensions = ['colon_fence']
autodoc_typehints = 'none'  # the types stand in the docstrings
autodoc_member_order = 'bysource'
autodoc_default_options = {'show-inheritance': True}
napoleon_use_rtype = False
html_copy_source = False


def drop_links_out_of_the_site(app, name, source):
    """Turn links to files outside of docs/ into their text: the site has no such pages."""
    source[0] = re.sub(r'\[([^\]]+)\]\(\.\./[^)]*\)', r'\1', source[0])
    source[0] = re.sub(r'<!--.*?-->\n?', '', source[0])


def drop_inherited_docstrings(app, what, name, obj, options, lines):
    """Leave docstrings that were inherited from other packages out: their markup is not ours."""
    module = getattr(inspect.unwrap(obj), '__module__', None) if callable(obj) else None
    if module and not module.startswith('mmum'):
        lines[:] = []


def setup(app):
    app.connect('source-read', drop_links_out_of_the_site)
    app.connect('autodoc-process-docstring', drop_inherited_docstrings)
