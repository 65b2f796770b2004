"""tools/convert.py as a user calls it."""

import re
import runpy

import pytest
import torch

from mmum.checkpoints import read_checkpoint, weights_of
from mmum.checkpoints.convert import convert
from mmum.cli.command import run_command
from mmum.models import UMStockSwin, UMSwin
from tests.helpers import ROOT, SMALL_ARCH, Evil, golden, run_tool

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Checkpoints of every kind."""
    folder = tmp_path_factory.mktemp('files')
    model = UMStockSwin(SMALL_ARCH, window_size=16)
    model.init_weights()
    weights = {f'backbone.{k}': v for k, v in model.state_dict().items()}
    torch.save(
        dict(state_dict={**weights, 'neck.mask_token': torch.zeros(4)}, meta={}),
        folder / 'stock.pth',
    )
    torch.save(
        dict(model=convert(weights, 'microsoft', window_size=7).weights), folder / 'microsoft.pth'
    )
    um = UMSwin(SMALL_ARCH)
    torch.save(
        dict(state_dict={f'backbone.{k}': v for k, v in um.state_dict().items()}),
        folder / 'um_swin.pth',
    )
    return folder


def test_pretrained_to_mmdet(files, tmp_path):
    result = run_tool(
        'tools/convert.py',
        files / 'stock.pth',
        tmp_path / 'swin.pth',
        '--to',
        'mmdet',
        '--window-size',
        7,
        '--check',
    )
    assert re.search(r'stock.pth \(mmum\) -> .*swin.pth \(mmdet\)', result.stdout)
    assert re.search(
        r'loaded: 1\d\d .*\n +renamed: 0\n +resized: 8 .*\n +dropped: \d+ .*\n +new: 0\n',
        result.stdout,
    )
    assert 'window 16 -> 7: the offsets that remain keep their entries' in result.stdout
    differences = re.search(r'by stage: (.*)', result.stdout)[1].split(', ')
    assert len(differences) == 4 and all(float(d) < 1e-5 for d in differences)
    content = read_checkpoint(tmp_path / 'swin.pth')
    assert set(content) == {'state_dict'} and all(
        k.startswith('backbone.') for k in content['state_dict']
    )
    assert (
        len(
            content['state_dict'][
                'backbone.stages.0.blocks.0.attn.w_msa.relative_position_bias_table'
            ]
        )
        == 13**2
    )


def test_from_microsoft_over_safetensors_and_back(files, tmp_path):
    run_tool(
        'tools/convert.py',
        files / 'microsoft.pth',
        tmp_path / 'a.safetensors',
        '--to',
        'timm',
        '--check',
    )
    run_tool(
        'tools/convert.py', tmp_path / 'a.safetensors', tmp_path / 'b.pth', '--to', 'microsoft'
    )
    before, after = (
        weights_of(read_checkpoint(p)) for p in (files / 'microsoft.pth', tmp_path / 'b.pth')
    )
    assert before.keys() == after.keys() and all(torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize('fine_tuned', [False, True])
def test_the_authors_files(fine_tuned, tmp_path):
    import argparse

    weights = {
        k[7:]: v for k, v in golden('um_mae_swin_pretrain').items() if k.startswith('weight.')
    }
    if fine_tuned:
        weights = {
            k: v for k, v in weights.items() if not k.startswith(('decoder', 'mask_token', 'norm.'))
        }
        weights.update(
            {f'{m}.{k}': torch.zeros(128) for m in ('fc_norm', 'head') for k in ('weight', 'bias')}
        )
    torch.save(
        dict(model=weights, args=argparse.Namespace(lr=1.0), epoch=3), tmp_path / 'authors.pth'
    )
    result = run_tool(
        'tools/convert.py', tmp_path / 'authors.pth', tmp_path / 'out.pth', '--to', 'mmum'
    )
    assert '(authors)' in result.stdout
    names = set(weights_of(read_checkpoint(tmp_path / 'out.pth')))
    assert names and all(name.startswith('backbone.') for name in names)
    if not fine_tuned:
        assert any(
            name.startswith('neck.') for name in convert(weights, 'mmum', whole=True).weights
        )


BAD = {
    'absent': (['{tmp}/absent.pth', '{tmp}/out.pth', '--to', 'timm'], 'absent.pth does not exist'),
    'no checkpoint': (
        [str(ROOT / 'README.md'), '{tmp}/out.pth', '--to', 'timm'],
        'README.md is not a checkpoint',
    ),
    'runs code': (
        ['{tmp}/evil.pth', '{tmp}/out.pth', '--to', 'timm'],
        'evil.pth was refused because loading it would call',
    ),
    'wrong dialect': (
        ['{files}/stock.pth', '{tmp}/out.pth', '--to', 'timm', '--from', 'microsoft'],
        'look like those of mmum',
    ),
    'merges': (
        ['{files}/um_swin.pth', '{tmp}/out.pth', '--to', 'timm'],
        'have no exact counterpart',
    ),
    'exists': (
        ['{files}/stock.pth', '{files}/um_swin.pth', '--to', 'timm'],
        'um_swin.pth exists: give another name',
    ),
    'suffix': (
        ['{files}/stock.pth', '{tmp}/out.bin', '--to', 'timm'],
        r'out.bin should end in .pth or .safetensors',
    ),
    'no folder': (
        ['{files}/stock.pth', '{tmp}/no/out.pth', '--to', 'timm'],
        'folder .*no does not exist',
    ),
    'window': (
        ['{files}/stock.pth', '{tmp}/out.pth', '--to', 'timm', '--window-size', '0'],
        '--window-size 0 should be',
    ),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_input_writes_nothing(case, files, tmp_path, monkeypatch, capsys):
    """One sentence, nothing written, nothing executed."""
    arguments, sentence = BAD[case]
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict=Evil()), tmp_path / 'evil.pth')
    monkeypatch.setattr(
        'sys.argv', ['convert.py', *(a.format(tmp=tmp_path, files=files) for a in arguments)]
    )
    main = runpy.run_path(str(ROOT / 'tools' / 'convert.py'))['main']
    with pytest.raises(SystemExit) as stop:
        run_command(main)
    assert stop.value.code == 2
    assert re.search(f'^error: .*{sentence}', capsys.readouterr().err)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['evil.pth']
