"""The names that transformers gives to the parts of a Swin."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# transformers -> Microsoft, in this order
WORDS = (
    (r'^swin\.', ''),
    (r'^embeddings\.patch_embeddings\.projection\.', 'patch_embed.proj.'),
    (r'^embeddings\.norm\.', 'patch_embed.norm.'),
    (r'^embeddings\.position_embeddings$', 'absolute_pos_embed'),
    (r'^embeddings\.mask_token$', 'mask_token'),
    (r'^encoder\.', ''),
    (r'\.layernorm_before\.', '.norm1.'),
    (r'\.layernorm_after\.', '.norm2.'),
    (r'\.attention\.self\.', '.attn.'),
    # in memory, version 5 has names of its own; files keep the ones above
    (r'\.attention\.q_proj\.', '.attn.query.'),
    (r'\.attention\.k_proj\.', '.attn.key.'),
    (r'\.attention\.v_proj\.', '.attn.value.'),
    (r'\.attention\.o_proj\.', '.attn.proj.'),
    (r'\.attention\.relative_position_bias\.', '.attn.'),
    (r'\.attention\.output\.dense\.', '.attn.proj.'),
    (r'\.intermediate\.dense\.', '.mlp.fc1.'),
    (r'\.output\.dense\.', '.mlp.fc2.'),
    (r'^layernorm\.', 'norm.'),
    (r'^classifier\.', 'head.'),
)
PARTS = ('query', 'key', 'value')


def is_transformers(weights: Mapping[str, Tensor]) -> bool:
    """Whether weights are those of a Swin of transformers."""
    pattern = re.compile(
        r'(swin\.)?encoder\.layers\.0\.blocks\.0\.attention\.(self\.query|q_proj)\.weight'
    )
    return any(pattern.fullmatch(name) for name in weights)


def to_microsoft(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the weights of a Swin of transformers Microsoft's names.

    Args:
        weights (dict[str, Tensor]): Weights with the names of transformers.

    Returns:
        dict[str, Tensor]: The same, queries, keys and values as one.
    """
    named = {}
    for name, value in weights.items():
        for pattern, word in WORDS:
            name = re.sub(pattern, word, name)
        named[name] = value
    for name in [name for name in named if '.attn.query.' in name]:
        parts = [named.pop(name.replace('.query.', f'.{part}.')) for part in PARTS]
        named[name.replace('.query.', '.qkv.')] = torch.cat(parts)
    return named
