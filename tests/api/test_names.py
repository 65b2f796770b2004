"""Models by name: mmpretrain's hub and timm."""

import mmpretrain
import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file

from mmum.api.names import HUB_FOLDERS, TIMM_MODELS
from mmum.models import UMPVT, UMSwin
from tests.helpers import ROOT, SMALL_ARCH


def test_the_index_has_every_config_and_no_other():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    listed = [
        model['Config']
        for file in index['Import']
        for model in yaml.safe_load((ROOT / file).read_text())['Models']
    ]
    there = [str(path.relative_to(ROOT)) for path in sorted((ROOT / 'configs').glob('[!_]*/*.py'))]
    assert sorted(listed) == sorted(there)


def test_mmpretrain_lists_and_builds_them():
    names = mmpretrain.list_models('*um*')
    for folder in HUB_FOLDERS:
        files = (ROOT / 'configs' / folder).glob('*um*.py')
        assert {path.stem for path in files} <= set(names)
    model = mmpretrain.get_model('um_mae_swin_nano_mini')
    x = torch.rand(1, 3, 128, 128)
    assert model.backbone.window_size == 8
    dense = UMSwin(model.backbone.arch, window_size=16).eval()
    dense.load_state_dict(model.backbone.state_dict())
    assert torch.equal(model.extract_feat(x)[0], dense(x)[0])  # in window 16, not 8


def test_pvt_pools_as_dense_without_a_mask():
    model = mmpretrain.get_model('um_mae_pvt_s')
    assert model.backbone.sr_ratios == (4, 2, 1, 1)
    dense = UMPVT(sr_ratios=(8, 4, 2, 1)).eval()
    dense.load_state_dict(model.backbone.state_dict())
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(model.extract_feat(x)[0], dense(x)[0])


@pytest.mark.parametrize('name', TIMM_MODELS)
def test_timm_lists_them(name):
    assert name in timm.list_models('um_*')


def test_timm_features_and_classes():
    x = torch.rand(2, 3, 64, 64)
    model = timm.create_model('um_swin_tiny', arch=SMALL_ARCH, num_classes=7).eval()
    assert model(x).shape == (2, 7) and model.num_features == 128
    maps = model.forward_features(x)
    assert maps.shape == (2, 2, 2, 128)
    assert torch.equal(model.forward_head(maps, pre_logits=True), maps.mean((1, 2)))
    model.reset_classifier(0)
    assert model(x).shape == (2, 128)
    model = timm.create_model('um_pvt_small', features_only=True, out_indices=(1, 3), in_chans=5)
    assert [y.shape[1] for y in model(torch.rand(1, 5, 64, 64))] == [128, 512]
    assert model.feature_info.channels() == [128, 512]
    assert model.feature_info.reduction() == [8, 32]


@pytest.mark.parametrize('features_only', [False, True])
def test_timm_loads_a_checkpoint(features_only, tmp_path):
    source = UMSwin(SMALL_ARCH, window_size=16, norm_cfg=None if features_only else dict(type='LN'))
    source.init_weights()
    path = tmp_path / 'backbone.safetensors'
    save_file({f'backbone.{k}': v for k, v in source.state_dict().items()}, path)
    model = timm.create_model(
        'um_swin_tiny',
        checkpoint_path=str(path),
        arch=SMALL_ARCH,
        features_only=features_only,
        **({} if features_only else dict(num_classes=0)),
    ).eval()
    x = torch.rand(1, 3, 64, 64)
    expected = source.eval()(x)[0]
    found = model(x)[-1] if features_only else model.forward_features(x).permute(0, 3, 1, 2)
    assert torch.allclose(found, expected, atol=1e-5)
    again = timm.create_model('um_swin_tiny', arch=SMALL_ARCH, num_classes=0)
    again.load_state_dict(
        timm.create_model('um_swin_tiny', arch=SMALL_ARCH, num_classes=0).state_dict()
    )


def test_timm_has_no_released_weights():
    with pytest.raises(RuntimeError, match='no released weights of um_swin_tiny'):
        timm.create_model('um_swin_tiny', pretrained=True)
