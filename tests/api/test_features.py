"""load_backbone, embed and export: five lines of Python."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmpretrain.models import SwinTransformer
from safetensors import safe_open

import mmum
from mmum.checkpoints import read_checkpoint, write_backbone
from mmum.checkpoints.settings import parse_config, settings_of_config
from mmum.errors import InputError
from mmum.models import UMPVT, UMStockSwin, UMSwin, UMViT
from tests.helpers import SMALL_ARCH, SMALL_PVT, SMALLER, Evil, build_um_mae

CFG = """
model = dict(
    type='UMMAE',
    backbone=dict(arch={arch}, pos_mlp_dims=8, type='UMSwin', window_size=4, compact=True),
    data_preprocessor=dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True))
train_dataloader = dict(dataset=dict(pipeline=[dict(input_size=64, type='UniformMask')]))
"""


@pytest.fixture
def checkpoint(tmp_path):
    """A pre-training as mmengine saves it."""
    model = build_um_mae()
    path = tmp_path / 'epoch_1.pth'
    meta = dict(cfg=CFG.format(arch=SMALL_ARCH))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return model, path


def same(one, other):
    return set(one) == set(other) and all(torch.equal(one[key], other[key]) for key in one)


def test_arch_window_and_weights_come_from_the_file(checkpoint):
    model, path = checkpoint
    backbone = mmum.load_backbone(path)
    assert isinstance(backbone, UMSwin) and not backbone.training
    assert same(backbone.state_dict(), model.backbone.state_dict())
    assert backbone.window_size == 8  # twice the compact one
    x = torch.rand(1, 3, 64, 64)
    dense = UMSwin(SMALL_ARCH, window_size=8, pos_mlp_dims=8).eval()
    dense.load_state_dict(model.backbone.state_dict())
    assert torch.equal(backbone(x)[0], dense(x)[0])


def test_arguments_replace_those_of_the_file(checkpoint):
    _, path = checkpoint
    backbone = mmum.load_backbone(path, out_indices=(0, -1), window_size=16, drop_path_rate=0.5)
    assert [y.shape[1] for y in backbone(torch.rand(1, 3, 64, 64))] == [16, 128]
    assert backbone.window_size == 16
    with pytest.raises(InputError, match=f"UMSwin, the backbone of {path}, does not take 'window'"):
        mmum.load_backbone(path, window=7)


def test_the_backbone_alone_in_a_file(checkpoint, tmp_path):
    model, path = checkpoint
    alone = tmp_path / 'backbone.safetensors'
    write_backbone(path, alone)
    with safe_open(alone, 'pt') as file:
        settings = json.loads(file.metadata()['settings'])
        assert all(name.startswith('backbone.') for name in file.keys())
    assert settings['backbone']['type'] == 'UMSwin' and settings['image_size'] == 64
    assert settings['backbone']['window_size'] == 8 and settings['mean'] == [1.0, 2.0, 3.0]
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(mmum.load_backbone(alone)(x)[0], mmum.load_backbone(path)(x)[0])
    started = UMSwin(
        SMALL_ARCH,
        pos_mlp_dims=8,
        init_cfg=dict(type='BackboneCheckpoint', checkpoint=str(alone)),
    )
    with pytest.raises(InputError, match=r'not in this UMSwin yet: call its init_weights\(\)'):
        started(x)
    started.init_weights()
    assert same(started.state_dict(), model.backbone.state_dict())
    started(x)


@pytest.mark.parametrize('kind', ['UMSwin', 'UMPVT', 'UMViT', 'UMStockSwin', 'SwinTransformer'])
def test_bare_weights(kind, tmp_path):
    """Sizes follow from the weights, but for the heads of PVT and ViT, which leave no trace."""
    make = dict(
        UMSwin=lambda: UMSwin(SMALL_ARCH, in_channels=5),
        UMPVT=lambda: UMPVT(SMALL_PVT),
        UMViT=lambda: UMViT(**SMALLER['UMViT']),
        UMStockSwin=lambda: UMStockSwin(SMALL_ARCH, window_size=4),
        SwinTransformer=lambda: SwinTransformer(SMALL_ARCH, window_size=4),
    )[kind]
    model, path = make(), tmp_path / 'x.pth'
    torch.save(model.state_dict(), path)
    arch = {}
    if kind in ('UMPVT', 'UMViT'):
        with pytest.raises(InputError, match=rf'{path} holds a {kind} .*pass arch=dict\(...\)'):
            mmum.load_backbone(path)
        arch = dict(arch=SMALL_PVT if kind == 'UMPVT' else SMALLER['UMViT']['arch'])
    backbone = mmum.load_backbone(path, **arch)
    assert type(backbone).__name__ == kind.replace('SwinTransformer', 'UMStockSwin')
    own, expected = backbone.state_dict(), model.state_dict()
    assert same({name: own[name] for name in expected}, expected)


def test_the_sizes_with_a_name(tmp_path):
    for kind, arch in ((UMPVT, 'small'), (UMViT, 'base')):
        torch.save(kind(arch).state_dict(), tmp_path / 'x.pth')
        assert mmum.load_backbone(tmp_path / 'x.pth').resolve_arch(arch) == kind.arch_zoo[arch]


@pytest.mark.parametrize(
    'preprocessor, to_rgb',
    [
        (dict(mean=[1.0], std=[2.0], to_rgb=True), True),
        (dict(mean=[1.0], std=[2.0], to_rgb=False), False),
        (dict(mean=[1.0], std=[2.0]), False),
        (dict(mean=[1.0], std=[2.0], bgr_to_rgb=True), True),
    ],
)
def test_channels_and_size_are_those_of_the_training(preprocessor, to_rgb):
    """The order of channels also where it is not turned; the size also in wrapped data sets."""
    pipeline = [dict(type='LoadImageStrict'), dict(type='UniformMask', input_size=96)]
    wrapped = dict(type='RepeatDataset', dataset=dict(type='UnlabelledImages', pipeline=pipeline))
    model = dict(type='UMMAE', backbone=dict(type='UMViT', img_size=224))
    cfg = dict(model=model, data_preprocessor=preprocessor)
    settings = settings_of_config(dict(cfg, train_dataloader=dict(dataset=wrapped)))
    assert settings.to_rgb == to_rgb and settings.image_size == 96
    assert settings_of_config(cfg).image_size == 224


def test_the_saved_config_is_read_and_not_run():
    text = "model = dict(a=[1, (2.5, None)], b={'c': -1}, d=__import__('os').getcwd())\nx = y\nz"
    assert parse_config(text) == dict(model=dict(a=[1, [2.5, None]], b=dict(c=-1), d=None))
    assert parse_config('model = (') == {}


def test_what_is_refused(tmp_path):
    torch.save(dict(state_dict=Evil()), tmp_path / 'evil.pth')
    torch.save(dict(state_dict={'layer.weight': torch.zeros(1)}), tmp_path / 'other.pth')
    with pytest.raises(InputError, match='refused because loading it would call'):
        mmum.load_backbone(tmp_path / 'evil.pth')
    with pytest.raises(InputError, match='is of no backbone that is known here'):
        mmum.load_backbone(tmp_path / 'other.pth')
    with pytest.raises(InputError, match='absent.pth does not exist'):
        mmum.load_backbone(tmp_path / 'absent.pth')


def write_images(folder, number=3):
    (folder / 'sub').mkdir(parents=True)
    for i in range(number):
        image = np.random.randint(0, 256, (80, 100, 3), np.uint8)
        cv2.imwrite(str(folder / ('sub' if i % 2 else '') / f'{i}.png'), image)
    (folder / 'broken.png').write_bytes(b'x')


def test_embed(checkpoint, tmp_path):
    """One vector per image: those of the backbone on the preprocessed image; order and names."""
    _, path = checkpoint
    write_images(tmp_path / 'images')
    features, names = mmum.embed(tmp_path / 'images', path, batch_size=2, workers=0)
    assert names == ['0.png', '2.png', 'sub/1.png']
    assert features.shape == (3, 128) and features.dtype == np.float32
    again, _ = mmum.embed(tmp_path / 'images', path, batch_size=8, workers=1)
    assert np.allclose(features, again, atol=1e-5)
    square = np.random.randint(0, 256, (64, 64, 3), np.uint8)  # nothing to resize or crop
    cv2.imwrite(str(tmp_path / 'square.png'), square)
    vector, _ = mmum.embed(tmp_path / 'square.png', path, workers=0)
    rgb = torch.from_numpy(square[..., ::-1].copy()).permute(2, 0, 1).float()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]))
    with torch.no_grad():
        expected = mmum.load_backbone(path)(((rgb - mean) / std)[None])[0].mean((2, 3))
    assert np.allclose(vector, expected.numpy(), atol=1e-5)


def test_embed_of_nothing(checkpoint, tmp_path):
    _, path = checkpoint
    write_images(tmp_path / 'images', number=0)
    with pytest.raises(InputError, match='none of the 1 images of .* can be read'):
        mmum.embed(tmp_path / 'images', path, workers=0)


def test_export(checkpoint, tmp_path):
    model, path = checkpoint
    result = mmum.export(path, tmp_path / 'x.safetensors', to='mmum')
    assert result.source == 'mmum' and len(result.report['loaded']) == 147
    assert same(
        mmum.load_backbone(tmp_path / 'x.safetensors').state_dict(), model.backbone.state_dict()
    )
    assert json.loads(read_checkpoint(tmp_path / 'x.safetensors')['meta']['settings'])
    with pytest.raises(InputError, match='x.safetensors exists'):
        mmum.export(path, tmp_path / 'x.safetensors')
    with pytest.raises(InputError, match="to='keras' names no code base: choose one of mmum"):
        mmum.export(path, tmp_path / 'y.pth', to='keras')
