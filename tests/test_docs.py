"""Pages do not go stale: tables are those of the result files, links and paths exist."""

import importlib
import json
import re

import pytest

from tests.helpers import ROOT

RESULTS = ROOT / 'docs' / 'results'
PAGES = [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    ROOT / 'configs' / 'detection' / 'README.md',
    ROOT / 'configs' / 'segmentation' / 'README.md',
    *sorted((ROOT / 'docs').glob('*.md')),
]
TABLES = {
    (page, name): table
    for page in PAGES
    for name, table in re.findall(
        r'<!-- (\w+) -->\n(.*?)<!-- end -->', page.read_text(), flags=re.S
    )
}
# The module that makes the table of a result, by the word that its name begins with; by default
# the one of that name.
MAKERS = dict(
    demo='transfer', mini='transfer', htcpp='detectors', detector='detector_steps', nuclei='arms'
)


def test_all_were_seen():
    assert len(TABLES) == 58, 'a table came or went: adjust the number'
    assert {name for _, name in TABLES} == {path.stem for path in RESULTS.glob('*.md')}


@pytest.mark.parametrize(
    'page, name',
    TABLES,
    ids=lambda part: part.parent.name + part.name if hasattr(part, 'name') else part,
)
def test_tables_are_those_of_the_result_files(page, name):
    published = (RESULTS / f'{name}.md').read_text()
    assert TABLES[page, name] == published, f'{name}: tools/benchmark.py publish'


@pytest.mark.parametrize('name', sorted(path.stem for path in RESULTS.glob('*.json')))
def test_tables_are_made_of_their_json(name):
    result = json.loads((RESULTS / f'{name}.json').read_text())
    kind = name.split('_')[0]
    maker = importlib.import_module(f'benchmarks.{MAKERS.get(kind, kind)}')
    assert maker.table(result) == (RESULTS / f'{name}.md').read_text()
    head = result['provenance']
    assert head['command'].startswith('python tools/') and head['date'] and head['hardware']


def test_counts_in_the_readme_are_those_of_the_result_file():
    methods = json.loads((RESULTS / 'compare_swin_t.json').read_text())['methods']
    text = ' '.join((ROOT / 'README.md').read_text().split())
    ours, theirs = methods['um_mae'], methods['simmim_mmpretrain']
    assert (
        f'{ours["gflop"]:.1f} GFLOP and keeps {ours["activation_mb"]:.1f} MB for the backward with '
        f"Swin-T, where mmpretrain's SimMIM needs {theirs['gflop']:.1f} GFLOP and "
        f'{theirs["activation_mb"]:.1f} MB'
    ) in text


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_and_paths_exist(page):
    text = page.read_text()
    for link in re.findall(r'\]\(([^)#]+)\)', text):
        assert link.startswith('http') or (page.parent / link).exists(), link
    paths = re.findall(r'\b((?:configs|tools|tests|mmum)/[\w/.-]+\.(?:py|sh))', text)
    paths += re.findall(r'`([\w/-]+_(?:coco|mini|in1k|ade20k-512x512)(?:_tta)?\.py)`', text)
    for path in paths:
        kinds = ('detection', 'segmentation', 'classification')
        folders = (ROOT, *(ROOT / 'configs' / kind for kind in kinds))
        assert any((folder / path).exists() for folder in folders), path


def test_findings_in_annotations_are_listed_with_what_happens():
    from mmum.datasets.coco.clean import KINDS

    page = (ROOT / 'docs' / 'transfer.md').read_text()
    rows = [f'| {kind} | {what or "the file is refused"} |' for kind, what in KINDS.items()]
    assert '\n'.join(rows) in page
