"""The documentation as a site, and the commands on its pages."""

import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys

import pytest

import mmum
from mmum.cli.main import COMMANDS, TOOLS
from mmum.engine.config.shipped import find_config
from tests.helpers import ROOT

PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
# What a page puts in place of a value.
PLACEHOLDERS = re.compile(r'\bN\b(?!\w)')


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec('furo') is None, reason='the extra docs')
def test_it_builds_without_warnings(tmp_path):
    result = subprocess.run(
        [
            sys.executable,
            '-m',
            'sphinx',
            '-q',
            '-W',
            '--keep-going',
            '-b',
            'html',
            'docs',
            tmp_path,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONWARNINGS': 'ignore'},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    api = (tmp_path / 'api.html').read_text()
    for name in ('mmum.models.UMSwin', 'mmum.pretrain', 'mmum.masking.sample_mask_map'):
        assert f'id="{name}"' in api, name
    for page in (ROOT / 'docs').glob('*.md'):
        html = (tmp_path / f'{page.stem}.html').read_text()
        assert '](../' not in html and 'class="problematic"' not in html, page.name


def commands():
    """Every command of mmum on the pages: (page, words)."""
    for page in PAGES:
        text = page.read_text()
        blocks = '\n'.join(re.findall(r'^ *```bash\n(.*?)```', text, flags=re.M | re.S))
        lines = re.findall(r'^(?:mmum|python tools/\w+\.py) .*$', blocks, flags=re.M)
        lines += re.findall(r'(?<!`)`((?:mmum|python tools/\w+\.py) [^`]+)`(?!`)', text)
        for line in dict.fromkeys(lines):
            line = re.sub(r'\s+#\s.*$', '', line)
            if '...' not in line and '`' not in line:
                yield page.name, line


@pytest.mark.parametrize('page, line', list(commands()), ids=lambda text: str(text)[:60])
def test_commands_exist_with_their_options_and_configs(page, line, monkeypatch, capsys):
    """Arguments are read, and names of configs found; nothing is run."""
    words = shlex.split(PLACEHOLDERS.sub('7', line))
    if words[0] == 'python':
        name, rest = re.search(r'tools/(\w+)\.py', words[1])[1].replace('_', '-'), words[2:]
    else:
        name, rest = words[1], words[2:]
    if name in ('--version', '--help', 'configs'):
        return
    assert name in {**COMMANDS, **TOOLS}, f'{page}: {line}'
    if name in TOOLS:
        monkeypatch.syspath_prepend(str(ROOT / 'tools'))
        module = importlib.import_module(name)
    else:
        module = importlib.import_module(f'mmum.cli.{name.replace("-", "_")}')
    if not hasattr(module, 'parse_args'):
        return
    rest = [word.split('|')[0] for word in rest]  # --to a|b
    monkeypatch.setattr(sys, 'argv', [name, *rest])
    try:
        args = module.parse_args()
    except SystemExit:
        said = capsys.readouterr().err
        assert 'arguments are required' in said, f'{page}: {line}: {said}'  # named in prose
        return
    config = getattr(args, 'config', None)
    if config and not config.startswith('my_') and config.islower():
        find_config(config)


def test_the_version_stands_in_one_place():
    cited = re.search(r'^version: (.*)$', (ROOT / 'CITATION.cff').read_text(), flags=re.M)[1]
    assert cited == mmum.__version__
