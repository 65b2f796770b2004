"""Pages do not go stale: tables are those of the result files, links and paths exist."""

import json
import re

import pytest

from tests.helpers import ROOT

PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]


@pytest.mark.parametrize(
    'page, number', [('scaling', 7), ('reliability', 1), ('detectors', 2), ('results', 1)]
)
def test_tables_are_those_of_the_result_files(page, number):
    page = (ROOT / 'docs' / f'{page}.md').read_text()
    tables = re.findall(r'<!-- (\w+) -->\n(.*?)<!-- end -->', page, flags=re.S)
    assert len(tables) == number
    for name, table in tables:
        assert table == (ROOT / 'docs' / 'results' / f'{name}.md').read_text(), (
            f'{name}: tools/benchmark.py publish'
        )


@pytest.mark.parametrize(
    'name, make',
    [
        ('compare_swin_t', 'compare'),
        ('compare_swin_l', 'compare'),
        ('data', 'data'),
        ('scaling', 'scaling'),
        ('predict', 'predict'),
        ('detectors', 'detectors'),
        ('htcpp_um_swin_l', 'detectors'),
        ('compare_swin_t_bfloat16', 'compare'),
        ('transfer', 'transfer'),
        ('profile', 'profile'),
    ],
)
def test_tables_are_made_of_their_json(name, make):
    import importlib

    result = json.loads((ROOT / 'docs' / 'results' / f'{name}.json').read_text())
    table = importlib.import_module(f'benchmarks.{make}').table(result)
    assert table == (ROOT / 'docs' / 'results' / f'{name}.md').read_text()
    command = result['provenance']['command']
    assert (
        command.startswith(('python tools/benchmark.py', 'python tools/study.py'))
        and result['provenance']['date']
    )


def test_headers_of_detectors_say_what_was_counted():
    from benchmarks.detectors import configs, header_line, model_of

    counts = json.loads((ROOT / 'docs' / 'results' / 'detectors.json').read_text())
    assert set(counts['detectors']) == {path.stem for path in configs()}
    leaves = sorted((ROOT / 'configs' / 'detection').glob('*_coco*.py'))
    assert len(leaves) > len(counts['detectors'])
    for path in leaves:
        assert f'\n{header_line(path.stem, counts)}\n' in path.read_text(), (
            f'{path.name}: tools/benchmark.py publish'
        )
    assert model_of('mask-rcnn_swin-t_fpn_3x_coco') == 'mask-rcnn_swin-t_fpn_1x_coco'


def test_the_run_of_the_abstract_at_full_size():
    """Built, started from a converted checkpoint, and one inference of 800x1333 px."""
    result = json.loads((ROOT / 'docs' / 'results' / 'htcpp_um_swin_l.json').read_text())
    (one,) = result['detectors'].values()
    assert '--pretrained' in result['provenance']['command'] and one['inference']['side'] == [
        800,
        1333,
    ]
    assert one['inference']['boxes'] and one['inference']['masks'][1:] == [800, 1333]


def test_the_hour_among_faults():
    import runpy

    result = json.loads((ROOT / 'docs' / 'results' / 'soak.json').read_text())
    table = runpy.run_path(str(ROOT / 'tools' / 'soak.py'))['table']
    assert table(result) == (ROOT / 'docs' / 'results' / 'soak.md').read_text()
    assert (
        result['equal']
        and result['minutes'] >= 60
        and 'tools/soak.py' in result['provenance']['command']
    )


def test_counts_in_the_readme_are_those_of_the_result_file():
    methods = json.loads((ROOT / 'docs' / 'results' / 'compare_swin_t.json').read_text())['methods']
    text = ' '.join((ROOT / 'README.md').read_text().split())
    ours, theirs = methods['um_mae'], methods['simmim_mmpretrain']
    assert (
        f'{ours["gflop"]:.1f} GFLOP and keeps {ours["activation_mb"]:.1f} MB for the backward with '
        'Swin-T, where '
        f"mmpretrain's SimMIM needs {theirs['gflop']:.1f} GFLOP and {theirs['activation_mb']:.1f} "
        'MB'
    ) in text


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_and_paths_exist(page):
    text = page.read_text()
    for link in re.findall(r'\]\(([^)#]+)\)', text):
        assert link.startswith('http') or (page.parent / link).exists(), link
    for path in re.findall(r'\b((?:configs|tools|tests|mmum)/[\w/.-]+\.(?:py|sh))', text):
        assert (ROOT / path).exists(), path
