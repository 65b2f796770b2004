"""Small classifiers of ours, and files with random weights as the authors write them."""

import argparse

import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmum.checkpoints.authors_keys import CLASSIFIER, _encoder_table
from tests.helpers import SMALL_ARCH, SMALL_PVT

CLASSES = 5
VIT = dict(embed_dims=48, num_layers=3, num_heads=4, feedforward_channels=192)
BACKBONES = dict(
    swin=dict(type='UMSwin', arch=SMALL_ARCH, window_size=16, pos_mlp_dims=8, norm_cfg=None),
    pvt=dict(
        type='UMPVT',
        arch=SMALL_PVT,
        sr_ratios=(8, 4, 2, 1),
        img_size=128,
        learn_positions=True,
        norm_cfg=None,
    ),
    vit=dict(
        type='UMViT',
        arch=VIT,
        img_size=128,
        learn_positions=True,
        out_type='avg_featmap',
        norm_cfg=None,
    ),
)


def classifier(family, num_classes=CLASSES):
    init_default_scope('mmpretrain')
    width = 48 if family == 'vit' else 128
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=BACKBONES[family],
            neck=dict(type='MeanPoolNorm', in_channels=width),
            head=dict(type='LinearClsHead', num_classes=num_classes, in_channels=width),
        )
    ).eval()


def authors_file(family):
    """Random weights under the authors' names, in their shapes."""
    model = classifier(family)
    own = {name: torch.randn_like(p) * 0.3 for name, p in model.named_parameters()}
    names = {'cls_token'} if family == 'vit' else set()
    if family == 'pvt':
        names.add('blocks.0.attn.kv.weight')
    blocks, downsamples = (3, ()) if family == 'vit' else (8, (2, 4, 6))
    names |= {f'blocks.{i}.norm1.weight' for i in range(blocks)}
    names |= {f'blocks.{i}.downsample.proj.weight' for i in downsamples}
    table = {**_encoder_table(names), **CLASSIFIER}
    weights = {foreign: own[name] for foreign, name in table.items() if name in own}
    weights.pop('vis_mask_token')
    for name, value in weights.items():
        if 'posmlp' in name or '.attn.sr.' in name:
            weights[name] = value[..., None, None] if value.dim() == 2 else value
        if 'cls_token' in name:
            weights[name] = value[None, None]
    if family != 'swin':
        positions = own['backbone.pos_embed']
        if family == 'vit':
            positions = torch.cat([torch.randn(1, 48), positions])
        weights['pos_embed'] = positions[None]
    return weights


def write(path, weights):
    """A file as the authors write it."""
    torch.save(dict(model=weights, epoch=99, args=argparse.Namespace(lr=1e-3), scaler={}), path)
    return path
