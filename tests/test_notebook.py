"""The notebook runs from the first cell to the last, on a small copy of its data."""

import json
import os
import subprocess
import sys

import pytest

from mmum.datasets.nuclei import write_nuclei
from tests.helpers import ROOT, write_download

pytestmark = pytest.mark.slow

NOTEBOOK = ROOT / 'docs' / 'notebooks' / 'own_images.ipynb'


def test_it_runs(tmp_path):
    cells = json.loads(NOTEBOOK.read_text())['cells']
    code = '\n\n'.join(''.join(c['source']) for c in cells if c['cell_type'] == 'code')
    assert code.count('STEPS = 1500, 500') == 1
    code = code.replace('STEPS = 1500, 500', 'STEPS = 2, 2')
    write_nuclei(write_download(tmp_path, 60), tmp_path / 'data' / 'nuclei', lambda items, _: items)
    annotations = tmp_path / 'data' / 'nuclei' / 'annotations'
    (annotations / 'train_50.json').write_bytes((annotations / 'train_25.json').read_bytes())
    (tmp_path / 'notebook.py').write_text(f"if __name__ == '__main__':\n    pass\n{code}\n")
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', 'notebook.py'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, 'MPLBACKEND': 'agg', 'OMP_NUM_THREADS': '1'},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    out = tmp_path / 'work_dirs' / 'notebook'
    assert (out / 'pretrain' / 'backbone.safetensors').is_file()
    assert (out / 'detector' / 'iter_2.pth').is_file()
    assert 'Truth and predictions' in (out / 'report.html').read_text()


def test_its_outputs_are_there():
    """Pictures and numbers, of one run from the first cell to the last."""
    cells = [c for c in json.loads(NOTEBOOK.read_text())['cells'] if c['cell_type'] == 'code']
    assert [c['execution_count'] for c in cells] == list(range(1, len(cells) + 1))
    kinds = {kind for c in cells for out in c['outputs'] for kind in out.get('data', {})}
    assert 'image/jpeg' in kinds
    assert not any(out['output_type'] == 'error' for c in cells for out in c['outputs'])
