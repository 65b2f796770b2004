"""Weights in: the authors' names, starting a backbone, and files that are not to be trusted."""

import argparse
import os
import pickle
import re

import pytest
import torch

from mmum.checkpoints import (
    BackboneCheckpoint,
    from_authors,
    load_backbone,
    read_checkpoint,
    weights_of,
)
from mmum.checkpoints.io import _allowed_classes
from mmum.errors import InputError
from mmum.models.um_swin import UMSwin
from tests.helpers import SMALL_ARCH, SMALL_PVT, Evil, build_um_mae, golden


def official():
    return {k[7:]: v for k, v in golden('um_mae_swin_pretrain').items() if k.startswith('weight.')}


def test_from_official_is_strict():
    weights = official()
    arch = dict(embed_dims=16, depths=(2, 2, 4, 2), num_heads=(1, 2, 4, 8))
    assert set(from_authors(weights)) == set(build_um_mae(arch).state_dict())
    with pytest.raises(InputError, match='unknown blocks.0.attn.extra'):
        from_authors({**weights, 'blocks.0.attn.extra': torch.zeros(1)})
    weights.pop('blocks.3.attn.posmlp.0.weight')
    with pytest.raises(InputError, match='missing blocks.3.attn.posmlp.0.weight'):
        from_authors(weights)


def small():
    return UMSwin(SMALL_ARCH, pos_mlp_dims=8, out_indices=(0, 1, 2, 3))


def test_a_pretraining_checkpoint_starts_a_backbone(tmp_path):
    source, target = build_um_mae(), small()
    torch.save(dict(state_dict=source.state_dict(), meta=dict(epoch=3)), tmp_path / 'pre.pth')
    target.init_cfg = dict(type='BackboneCheckpoint', checkpoint=str(tmp_path / 'pre.pth'))
    target.init_weights()
    for name, value in source.backbone.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name
    report = load_backbone(target, source.state_dict())
    lines = dict(line.strip().split(': ', 1) for line in report.splitlines())
    assert lines['loaded'].startswith(f'{len(source.backbone.state_dict())} ')
    assert lines['resized'] == '0'
    assert lines['new'] == '6 (norm0.weight, norm0.bias, norm1.weight, norm1.bias and 2 more)'
    assert lines['unused'].startswith(f'{len(source.neck.state_dict())} (neck.')


def test_the_authors_file_starts_a_backbone(tmp_path):
    file = dict(model=official(), optimizer={}, epoch=1, scaler={}, args=argparse.Namespace(lr=1.0))
    torch.save(file, tmp_path / 'theirs.pth')
    arch = dict(embed_dims=16, depths=(2, 2, 4, 2), num_heads=(1, 2, 4, 8))
    model = UMSwin(arch, pos_mlp_dims=8)
    BackboneCheckpoint(str(tmp_path / 'theirs.pth'))(model)
    assert torch.equal(model.patch_embed.weight, official()['patch_embed.proj.weight'])


@pytest.mark.parametrize('family', ['swin', 'pvt'])
def test_the_authors_fine_tuned_file_starts_a_backbone(family):
    """The same encoder names; no decoder and no final norm, but fc_norm and head; a PVT's positions
    are learned."""
    from mmum.models.um_pvt import UMPVT

    weights = {
        k[7:]: v for k, v in golden(f'um_mae_{family}_pretrain').items() if k.startswith('weight.')
    }
    kept = {
        k: v
        for k, v in weights.items()
        if not k.startswith(('decoder', 'mask_token', 'norm.', 'vis_mask_token'))
    }
    kept.update(
        {
            f'{name}.{kind}': torch.zeros(8)
            for name in ('fc_norm', 'head')
            for kind in ('weight', 'bias')
        }
    )
    if family == 'swin':
        model = UMSwin(
            dict(embed_dims=16, depths=(2, 2, 4, 2), num_heads=(1, 2, 4, 8)), pos_mlp_dims=8
        )
    else:
        model = UMPVT(SMALL_PVT, learn_positions=True)
        kept['pos_embed'] = torch.randn(1, 4096, 16)
    report = load_backbone(model, kept)
    assert torch.equal(
        model.stages[3].blocks[1].mlp.fc2.weight,
        list(v for k, v in kept.items() if k.endswith('mlp.fc2.weight'))[-1],
    )
    assert re.search(r'new: 3 \(secondary_token, norm3.weight, norm3.bias\)', report), report
    if family == 'pvt':
        assert torch.equal(model.pos_embed, kept['pos_embed'][0])
    with pytest.raises(InputError, match='unknown other.weight'):
        load_backbone(model, {**kept, 'other.weight': torch.zeros(1)})


def test_learned_positions_of_another_size_are_resized():
    from mmum.models.um_pvt import UMPVT

    source, target = (
        UMPVT(SMALL_PVT, learn_positions=True, img_size=size) for size in (64, (64, 128))
    )
    report = load_backbone(target, source.state_dict())
    assert 'resized: 1 (pos_embed)' in report
    before, after = source.pos_embed.view(16, 16, 16), target.pos_embed.view(16, 32, 16)
    assert torch.allclose(after.unflatten(1, (16, 2)).mean(2)[:, 2:-2], before[:, 2:-2], atol=0.1)


@pytest.mark.parametrize(
    'depths, fault',
    [((2, 2, 3, 2), 'it lacks stages.2.blocks.2'), ((2, 2, 1, 2), 'also has stages.2')],
)
def test_another_depth(depths, fault):
    with pytest.raises(InputError, match=f'x.pth is of another backbone than the UMSwin.*{fault}'):
        load_backbone(
            UMSwin(dict(SMALL_ARCH, depths=depths), pos_mlp_dims=8),
            build_um_mae().state_dict(),
            'x.pth',
        )


def test_pretrained_gives_equal_features(tmp_path):
    """Pre-training features and those of the transferred backbone are the same function."""
    source = build_um_mae().eval()
    torch.save(source.state_dict(), tmp_path / 'bare.pth')
    target = UMSwin(
        SMALL_ARCH,
        pos_mlp_dims=8,
        init_cfg=dict(type='BackboneCheckpoint', checkpoint=tmp_path / 'bare.pth'),
    )
    target.init_weights()
    images = torch.randn(1, 3, 96, 96)
    assert torch.equal(source.backbone(images)[-1], target.eval()(images)[-1])


def test_safetensors(tmp_path):
    from safetensors.torch import save_file

    save_file(build_um_mae().state_dict(), tmp_path / 'w.safetensors')
    assert 'backbone.norm3.weight' in weights_of(read_checkpoint(tmp_path / 'w.safetensors'))
    (tmp_path / 'w.safetensors').write_bytes((tmp_path / 'w.safetensors').read_bytes()[:500])
    with pytest.raises(InputError, match='truncated or no safetensors'):
        read_checkpoint(tmp_path / 'w.safetensors')


def test_nothing_matches():
    with pytest.raises(InputError, match='nothing in x.pth matches UMSwin: it has layer.weight'):
        load_backbone(small(), {'layer.weight': torch.zeros(1)}, 'x.pth')


def test_another_width():
    wide = build_um_mae(dict(SMALL_ARCH, embed_dims=16), pos_mlp_dims=16)
    with pytest.raises(InputError, match='pos_mlp.0.weight is .* in it and .* here'):
        load_backbone(small(), wide.state_dict(), 'x.pth')


@pytest.mark.parametrize('call', [getattr, eval, os.system])
def test_only_harmless_classes_are_allowed(call):
    assert call not in _allowed_classes()


class Reach:
    """Asks for an attribute of something harmless."""

    def __reduce__(self):
        return getattr, (argparse.Namespace, '__init__')


def test_no_attribute_can_be_reached_for(tmp_path):
    torch.save(dict(model=Reach()), tmp_path / 'reach.pth')
    with pytest.raises(InputError, match='reach.pth was refused'):
        read_checkpoint(tmp_path / 'reach.pth')


def test_what_mmengine_writes_is_read(tmp_path):
    """Message hub with history buffers, numpy scalars, optimiser state."""
    import numpy as np
    from mmengine.logging import MessageHub

    hub = MessageHub.get_instance('test_what_mmengine_writes')
    hub.update_scalar('train/loss', 0.5)
    hub.update_info('best', np.float64(0.25))
    hub.update_info('array', np.arange(3))
    torch.save(
        dict(state_dict=build_um_mae().state_dict(), message_hub=hub.state_dict()),
        tmp_path / 'x.pth',
    )
    assert 'message_hub' in read_checkpoint(tmp_path / 'x.pth')


@pytest.mark.parametrize('legacy', [False, True])
def test_a_pickle_that_runs_code_is_refused(tmp_path, monkeypatch, legacy):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(model=Evil()), 'evil.pth', _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match='evil.pth was refused'):
        read_checkpoint('evil.pth')
    (tmp_path / 'plain.pth').write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match='plain.pth'):
        read_checkpoint('plain.pth')
    assert not (tmp_path / 'should_not_exist').exists()


def test_what_is_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match='absent.pth does not exist'):
        read_checkpoint(tmp_path / 'absent.pth')
    (tmp_path / 'text.pth').write_text('hello, this is not a checkpoint at all\n' * 10)
    with pytest.raises(InputError, match='text.pth is not a checkpoint'):
        read_checkpoint(tmp_path / 'text.pth')
    (tmp_path / 'empty.pth').touch()
    with pytest.raises(InputError, match='empty.pth is not a checkpoint'):
        read_checkpoint(tmp_path / 'empty.pth')
    torch.save(dict(note='no weights'), tmp_path / 'note.pth')
    with pytest.raises(InputError, match='holds no weights'):
        weights_of(read_checkpoint(tmp_path / 'note.pth'))


@pytest.mark.parametrize('part', [0.01, 0.3, 0.9, 0.999])
def test_a_checkpoint_that_is_cut_short(tmp_path, part):
    torch.save(build_um_mae().state_dict(), tmp_path / 'whole.pth')
    data = (tmp_path / 'whole.pth').read_bytes()
    (tmp_path / 'torn.pth').write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InputError, match='torn.pth is truncated'):
        read_checkpoint(tmp_path / 'torn.pth')
