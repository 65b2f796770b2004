"""The blocks of docs/python.md, run in order."""

import re

import pytest
import torch

from tests.helpers import ROOT, SMALL_DETECTOR, run_tool

pytestmark = pytest.mark.slow

PAGE = (ROOT / 'docs' / 'python.md').read_text()
BLOCKS = re.findall(r'```python\n(.*?)```', PAGE, flags=re.S)


def test_the_blocks(mini, tmp_path, monkeypatch):
    """With a smaller model and fewer epochs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'FOLDER').symlink_to(mini / 'unlabelled')
    first, by_name, by_timm, config = BLOCKS
    smaller = "model='swin_nano', epochs=1, batch_size=8, train_dataloader=dict(num_workers=0)"
    assert "model='swin_tiny', epochs=50, batch_size=128" in first
    names = {}
    exec(first.replace("model='swin_tiny', epochs=50, batch_size=128", smaller), names)
    assert names['features'].shape == (16, 384) and len(names['names']) == 16
    maps = names['backbone'](torch.rand(1, 3, 128, 128))
    assert [y.shape[1] for y in maps] == [48, 96, 192, 384]
    assert (tmp_path / 'backbone.pth').is_file()
    exec(by_name.replace('um_mae_swin_t', 'um_mae_swin_nano_mini'), names)
    feature = names['model'].extract_feat(torch.rand(1, 3, 128, 128))[0]
    assert feature.shape == (1, 384, 4, 4)
    arch = 'arch=dict(embed_dims=48, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)), features_only'
    exec(by_timm.replace('features_only', arch), names)
    assert names['model'].feature_info.channels() == [48, 96, 192, 384]
    (tmp_path / 'own.py').write_text(
        config.replace('um-swin-t_fpn_1x_coco', 'um-swin-nano_fpn_mini').replace('DATA', str(mini))
    )
    run_tool(ROOT / 'tools' / 'train.py', 'own.py', *SMALL_DETECTOR, cwd=tmp_path)
    assert (tmp_path / 'work_dirs' / 'own' / 'epoch_1.pth').is_file()
