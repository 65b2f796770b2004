"""Swin files of transformers: both spellings, with and without a classifier around them."""

import pytest
import torch

from mmum.checkpoints import load_backbone
from mmum.checkpoints.swin_keys import to_dialect
from mmum.models import UMStockSwin
from tests.helpers import SMALL_ARCH

CLASSIC = {
    'norm1.': 'layernorm_before.',
    'norm2.': 'layernorm_after.',
    'attn.proj.': 'attention.output.dense.',
    'attn.relative_position_bias_table': 'attention.self.relative_position_bias_table',
    'attn.': 'attention.self.',
    'mlp.fc1.': 'intermediate.dense.',
    'mlp.fc2.': 'output.dense.',
}
IN_MEMORY = {
    'norm1.': 'layernorm_before.',
    'norm2.': 'layernorm_after.',
    'attn.proj.': 'attention.o_proj.',
    'attn.relative_position_bias_table': (
        'attention.relative_position_bias.relative_position_bias_table'
    ),
    'attn.query.': 'attention.q_proj.',
    'attn.key.': 'attention.k_proj.',
    'attn.value.': 'attention.v_proj.',
}


def spell(weights, words, prefix):
    """Microsoft's names as transformers spells them."""
    split = {}
    for name, value in weights.items():
        if '.attn.qkv.' in name:
            for part, piece in zip(('query', 'key', 'value'), value.chunk(3)):
                split[name.replace('qkv', part)] = piece
        else:
            split[name] = value
    spelt = {}
    for name, value in split.items():
        name = name.replace('patch_embed.proj.', 'embeddings.patch_embeddings.projection.')
        name = name.replace('patch_embed.norm.', 'embeddings.norm.')
        if name.startswith('norm.'):
            name = f'layernorm.{name[5:]}'
        if name.startswith('layers.'):
            head, dot, tail = name.rpartition('.blocks.')
            if dot:
                number, _, tail = tail.partition('.')
                for word, other in words.items():
                    if tail.startswith(word):
                        tail = other + tail.removeprefix(word)
                        break
                name = f'{head}.blocks.{number}.{tail}'
            name = f'encoder.{name}'
        spelt[prefix + name] = value
    return spelt


@pytest.mark.parametrize('words', [CLASSIC, IN_MEMORY], ids=['classic', 'in memory'])
@pytest.mark.parametrize('prefix', ['', 'swin.'])
def test_features_are_the_same(words, prefix):
    source = UMStockSwin(SMALL_ARCH, window_size=7, pad_small_map=True).eval()
    source.init_weights()
    microsoft, _ = to_dialect(source.state_dict(), 'microsoft')
    weights = spell(microsoft, words, prefix)
    assert not any('qkv' in name or '.attn.' in name for name in weights)
    if prefix:
        weights['classifier.weight'] = torch.zeros(2, 128)
    target = UMStockSwin(SMALL_ARCH, window_size=7, pad_small_map=True).eval()
    load_backbone(target, weights)
    images = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        for one, other in zip(source(images), target(images)):
            torch.testing.assert_close(one, other, atol=0, rtol=0)
