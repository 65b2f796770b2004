"""Benchmarks write what they promise."""

import json
import re
import runpy

import pytest
import torch
from benchmarks import profile
from benchmarks.report import provenance

from mmum.cli.command import run_command
from tests.helpers import ROOT, run_tool


@pytest.mark.slow
def test_compare(tmp_path):
    out = tmp_path / 'compare.json'
    result = run_tool(
        'tools/benchmark.py',
        'compare',
        '--methods',
        'um_mae',
        'simmim_mmpretrain',
        '--batch',
        1,
        '--repeats',
        1,
        '--steps',
        1,
        '--out',
        out,
    )
    found = json.loads(out.read_text())
    assert (
        set(found['methods']) == {'um_mae', 'simmim_mmpretrain'} and found['provenance']['hardware']
    )
    ours, theirs = found['methods'].values()
    assert (
        ours['gflop'] < 0.6 * theirs['gflop']
        and ours['activation_mb'] < 0.5 * theirs['activation_mb']
    )
    assert (
        100 < ours['peak_mb'] < theirs['peak_mb'] * 1.5
        and ours['times_simmim_mmpretrain']['median'] > 0
    )
    assert out.with_suffix('.md').read_text().strip() in result.stdout


@pytest.mark.slow
def test_profile(tmp_path):
    """Every operator has its kind, and the kinds are the time that the profiler saw."""
    report = []
    found = profile.measure(['um_mae'], 'T', 1, 256, 'float32', 1, report.append)
    ours = found['methods']['um_mae']
    total = sum(ours['kinds'].values())
    assert 0.8 * total < sum(ours['operators'].values()) <= total * 1.001  # the longest are listed
    assert all(
        ours['kinds'][kind] > 0
        for kind in ('products', 'attention', 'norms', 'gelu', 'optimizer', 'lookups', 'copies')
    )
    assert ours['kinds']['products'] == max(ours['kinds'].values()) and found['product_flops'] > 1e9
    found['provenance'] = provenance()
    text = profile.table(found)
    assert (
        '| matrix products, convolutions |' in text
        and f'{ours["flop"] / 1e9:.0f} GFLOP a step' in text
    )


@pytest.mark.parametrize(
    'operator, kind',
    [
        ('aten::addmm', 'products'),
        ('aten::baddbmm', 'products'),
        ('aten::mkldnn_convolution', 'products'),
        ('aten::_softmax_backward_data', 'attention'),
        ('aten::native_layer_norm', 'norms'),
        ('aten::gelu_backward', 'gelu'),
        ('aten::_fused_adamw_', 'optimizer'),
        ('aten::scatter_add_', 'lookups'),
        ('aten::copy_', 'copies'),
        ('aten::sum', 'sums'),
        ('aten::add_', 'arithmetic'),
        ('aten::empty', 'rest'),
        ('aten::select', 'rest'),
        ('aten::expand', 'rest'),
        ('autograd::engine::evaluate_function: MmBackward0', 'rest'),
    ],
)
def test_kinds_of_operators(operator, kind):
    assert profile.kind_of(operator) == kind


@pytest.mark.slow
def test_data(tmp_path):
    model = tmp_path / 'model.json'
    model.write_text(json.dumps(dict(methods=dict(um_mae=dict(images_per_second=1.0)))))
    result = run_tool(
        'tools/benchmark.py',
        'data',
        '--images',
        8,
        '--repeats',
        1,
        '--workers',
        1,
        '--model',
        model,
        '--out',
        tmp_path / 'data.json',
    )
    rates = json.loads((tmp_path / 'data.json').read_text())['rates']
    assert len(rates) == 2 * 3 and all(rate['images_per_second'] > 0 for rate in rates)
    assert 'the model is the bottleneck' in result.stdout


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (['compare', '--dtype', 'float16'], 'float16 training is for GPUs'),
        (['compare', '--image-size', '100'], '--image-size 100 should be a multiple of 64'),
        (['compare', '--batch', '0'], '--batch 0 should be positive'),
        (['scaling', '--ranks', '1000'], '--ranks 1000: this machine has'),
        (
            ['data', '--model', str(ROOT / 'docs' / 'results' / 'demo.json')],
            'is no result of `compare`',
        ),
        (['data', '--out', 'x.txt'], '--out x.txt should end in .json'),
    ],
)
def test_bad_arguments(arguments, sentence, monkeypatch, capsys):
    if 'float16' in arguments and torch.cuda.is_available():
        pytest.skip('a GPU has float16')
    monkeypatch.setattr('sys.argv', ['benchmark.py', *arguments])
    main = runpy.run_path(str(ROOT / 'tools' / 'benchmark.py'))['main']
    with pytest.raises(SystemExit):
        run_command(main)
    assert re.search(f'^error: .*{sentence}', capsys.readouterr().err)
