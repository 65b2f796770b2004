"""The names of the authors' files: UM-MAE and SimMIM, pre-trained or fine-tuned, Swin, PVT or ViT.

Every table maps a foreign name to ours. The authors count blocks through where we count them within
their stage, and the merge before a stage belongs to its first block in their files.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from mmum.errors import InputError, preview


def _parameters(modules: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Names of modules -> names of their weights and biases."""
    names = modules if isinstance(modules, Mapping) else {name: name for name in modules}
    return {
        f'{foreign}.{kind}': f'{own}.{kind}'
        for foreign, own in names.items()
        for kind in ('weight', 'bias')
    }


TRANSFORMER_BLOCK = _parameters(('norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2'))
EMBEDDING = {
    'vis_mask_token': 'secondary_token',
    **_parameters({'patch_embed.proj': 'patch_embed'}),
}
ENCODERS = dict(
    UMSwin=dict(
        embedding={**EMBEDDING, **_parameters({'patch_embed.norm': 'patch_norm'})},
        merge=_parameters(('downsample.norm', 'downsample.proj')),
        block={
            **TRANSFORMER_BLOCK,
            **_parameters({f'attn.posmlp.{i}': f'attn.pos_mlp.{i}' for i in (0, 2)}),
        },
    ),
    UMPVT=dict(
        embedding=EMBEDDING,
        merge=_parameters(('downsample.proj',)),
        block=_parameters(
            (
                'norm1',
                'attn.q',
                'attn.kv',
                'attn.sr',
                'attn.norm',
                'attn.proj',
                'norm2',
                'mlp.fc1',
                'mlp.fc2',
            )
        ),
    ),
    UMViT=dict(
        embedding={**EMBEDDING, 'cls_token': 'cls_token'}, merge={}, block=TRANSFORMER_BLOCK
    ),
)
DECODER = {
    'mask_token': 'mask_token',
    **_parameters({f'decoder_{name}': name for name in ('embed', 'norm', 'pred')}),
}
# SimMIM has one token, which is the encoder's, and a linear decoder
SIMMIM = {
    'mask_token': 'backbone.secondary_token',
    **_parameters({'decoder_pred': 'neck.decoder.0'}),
}
CLASSIFIER = _parameters({'fc_norm': 'neck.norm', 'head': 'head.fc'})
# Names that not every file has: a fine-tuned model has no tokens of masking and no final norm.
OPTIONAL = {'vis_mask_token', 'norm.weight', 'norm.bias', 'pos_embed'}


def is_authors(weights: Mapping[str, Tensor]) -> bool:
    """Whether these weights have the names of the authors' files."""
    return {'patch_embed.proj.weight', 'blocks.0.norm1.weight'} <= set(weights)


def authors_kind(weights: Mapping[str, Tensor]) -> str:
    """Kind of file that the weights come from: 'um_mae', 'simmim' or 'fine-tuned'."""
    if 'decoder_embed.weight' in weights:
        return 'um_mae'
    return 'simmim' if 'decoder_pred.weight' in weights else 'fine-tuned'


def _numbers(pattern: str, names: Iterable[str]) -> list[int]:
    """The block numbers that a pattern finds in names, sorted."""
    return sorted({int(match[1]) for match in map(re.compile(pattern).match, names) if match})


def _encoder_table(names: Iterable[str]) -> dict[str, str]:
    """Names of an encoder with these blocks."""
    names = set(names)
    pvt = any('.attn.kv.' in name for name in names)
    family = 'UMViT' if 'cls_token' in names else 'UMPVT' if pvt else 'UMSwin'
    encoder = ENCODERS[family]
    merges = _numbers(r'blocks\.(\d+)\.downsample\.', names)
    starts = [0, *merges]
    blocks = 1 + max(_numbers(r'blocks\.(\d+)\.', names), default=-1)
    last = blocks - 1 if family == 'UMViT' else len(merges)
    table = {**encoder['embedding'], **_parameters({'norm': f'norm{last}'})}
    for i in range(blocks):
        stage = sum(start <= i for start in starts) - 1
        own = '' if family == 'UMViT' else f'stages.{stage}.'
        for foreign, name in encoder['block'].items():
            table[f'blocks.{i}.{foreign}'] = f'{own}blocks.{i - starts[stage]}.{name}'
        if i in merges:
            table.update((f'blocks.{i}.{k}', f'{own}{v}') for k, v in encoder['merge'].items())
    return {foreign: f'backbone.{own}' for foreign, own in table.items()}


def _decoder_table(names: Iterable[str]) -> dict[str, str]:
    """Names of a decoder of UM-MAE with these blocks."""
    table = {foreign: f'neck.{own}' for foreign, own in DECODER.items()}
    for i in range(1 + max(_numbers(r'decoder_blocks\.(\d+)\.', names), default=-1)):
        table.update(
            (f'decoder_blocks.{i}.{k}', f'neck.blocks.{i}.{v}')
            for k, v in TRANSFORMER_BLOCK.items()
        )
    return table


def from_authors(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Map the authors' names to ours.

    A file of pre-training becomes the state dict of a ``UMMAE`` (or of a ``SimMIM`` with a linear
    decoder), a fine-tuned file that of an ``ImageClassifier`` with ``MeanPoolNorm``. A dictionary
    of gradients with the same names maps the same way.

    Args:
        weights (dict[str, Tensor]): The authors' parameters.

    Returns:
        dict[str, Tensor]: Ours, with the names of a whole model.

    Raises:
        InputError: If names are unknown or missing.
    """
    kind = authors_kind(weights)
    table = _encoder_table(weights)
    # Fixed sin-cos positions, which mmum computes.
    ignored = {'decoder_pos_embed', 'pos_embed'}
    optional: set[str] = set()
    if kind == 'um_mae':
        table.update(_decoder_table(weights))
    elif kind == 'simmim':
        table.update(SIMMIM)
        optional = OPTIONAL
    else:
        table.update(CLASSIFIER)
        table['pos_embed'] = 'backbone.pos_embed'
        optional, ignored = {*OPTIONAL, *CLASSIFIER}, set()
    unknown = sorted(name for name in weights if name not in table and name not in ignored)
    missing = sorted(name for name in table if name not in weights and name not in optional)
    if unknown or missing:
        faults = [
            f'{what} {preview(names, 5)}'
            for what, names in (('unknown', unknown), ('missing', missing))
            if names
        ]
        title = dict(um_mae='UM-MAE pre-training', simmim='SimMIM pre-training')
        raise InputError(
            f"these are not the weights of the authors' {title.get(kind, 'fine-tuned')} model: "
            f'{"; ".join(faults)} (expected all names of their UM-MAE Swin, PVT or ViT'
            f'{", encoder and decoder" if kind == "um_mae" else ""})'
        )
    result = {
        own: _own_shape(foreign, weights[foreign])
        for foreign, own in table.items()
        if foreign in weights
    }
    head = result.get('neck.decoder.0.weight')
    if head is not None and head.dim() == 2:
        result['neck.decoder.0.weight'] = head[..., None, None]  # a 1x1 convolution here
    if 'cls_token' in weights and 'backbone.pos_embed' in result:
        # The learned position of the class token is a constant added to it.
        cls_position, *_ = positions = result['backbone.pos_embed']
        result['backbone.cls_token'] = result['backbone.cls_token'] + cls_position
        result['backbone.pos_embed'] = positions[1:]
    return result


def _own_shape(name: str, tensor: Tensor) -> Tensor:
    """The authors keep tokens as (1, 1, C), and Linears of ours as 1x1 convolutions."""
    if name.endswith(('mask_token', 'cls_token')):
        return tensor.flatten()
    if name == 'pos_embed':
        return tensor[0]
    if ('posmlp' in name or '.attn.sr.' in name) and tensor.dim() == 4:
        return tensor.flatten(1)
    return tensor
