"""The package: files and imports in order."""

import ast
import re

import pytest

from tests.helpers import ROOT

FILES = sorted(path for path in (ROOT / 'mmum').rglob('*.py') if '.mim' not in path.parts)
# Lower layers first: nothing imports upwards.
LAYERS = [
    'errors',
    'resources',
    'files',
    'workers',
    'masking',
    'environment',
    'models',
    'checkpoints',
    'datasets',
    'visualization',
    'evaluation',
    'engine',
    'api',
    'report',
    'cli',
    '__main__',
]


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short_and_import_downwards(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    layer = path.relative_to(ROOT / 'mmum').parts[0].removesuffix('.py')
    if layer == '__init__':
        return
    for node in ast.walk(ast.parse(text)):
        module = getattr(node, 'module', None) if isinstance(node, ast.ImportFrom) else None
        if module and module.startswith('mmum.'):
            imported = module.split('.')[1]
            assert LAYERS.index(imported) <= LAYERS.index(layer), f'{path} imports {module}'


def test_folders_have_at_least_three_files():
    for folder in {path.parent for path in FILES}:
        assert len([p for p in folder.iterdir() if p.suffix == '.py' or p.is_dir()]) >= 3, folder


def test_docstrings_begin_with_a_verb_or_a_noun():
    """Not with a question word."""
    files = [*FILES, *(ROOT / 'tools').rglob('*.py')]
    found = [
        f'{path.name}: {node.body[0].value.value.splitlines()[0]}'
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and ast.get_docstring(node)
        and re.match(r'(What|Which|How|Where|Who)\b', ast.get_docstring(node))
    ]
    assert not found


def test_no_test_module_imports_another():
    for path in (ROOT / 'tests').rglob('*.py'):
        assert not re.search(r'^\s*from tests\.[\w.]*test_', path.read_text(), flags=re.M), path
