"""The authors' files: their names of UM-MAE Swin, PVT and ViT, pre-trained or fine-tuned, to ours."""
import re

from mmum.errors import InputError

# Authors' name -> ours. Blocks count through in theirs, and within their stage in ours; the merge before a stage belongs to
# its first block in theirs.


def _pairs(names):
    """{theirs: ours} of modules -> the same of their weights and biases."""
    names = names if isinstance(names, dict) else {name: name for name in names}
    return {f'{theirs}.{kind}': f'{ours}.{kind}' for theirs, ours in names.items() for kind in ('weight', 'bias')}


OFFICIAL_TRANSFORMER_BLOCK = _pairs(('norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2'))
OFFICIAL_EMBEDDING = {'vis_mask_token': 'secondary_token', **_pairs({'patch_embed.proj': 'patch_embed'})}
OFFICIAL_ENCODERS = {
    'Swin': dict(
        embedding={**OFFICIAL_EMBEDDING, **_pairs({'patch_embed.norm': 'patch_norm'})},
        merge=_pairs(('downsample.norm', 'downsample.proj')),
        block={**OFFICIAL_TRANSFORMER_BLOCK, **_pairs({f'attn.posmlp.{i}': f'attn.pos_mlp.{i}' for i in (0, 2)})}),
    'PVT': dict(
        embedding=OFFICIAL_EMBEDDING,
        merge=_pairs(('downsample.proj', )),
        block=_pairs(('norm1', 'attn.q', 'attn.kv', 'attn.sr', 'attn.norm', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2'))),
    'ViT': dict(
        embedding={**OFFICIAL_EMBEDDING, 'cls_token': 'cls_token'}, merge={}, block=OFFICIAL_TRANSFORMER_BLOCK),
}
OFFICIAL_DECODER = {
    'mask_token': 'mask_token', **_pairs({f'decoder_{name}': name for name in ('embed', 'norm', 'pred')})}
# fixed sin-cos positions, which mmum computes
OFFICIAL_FIXED = {'decoder_pos_embed', 'pos_embed'}


def _numbers(pattern, names):
    """The block numbers that a pattern finds in names, sorted."""
    return sorted({int(match[1]) for match in map(re.compile(pattern).match, names) if match})


def _official_table(names):
    """The whole table of names for a model with these blocks: authors' name -> ours."""
    family = 'ViT' if 'cls_token' in names else 'PVT' if any('.attn.kv.' in name for name in names) else 'Swin'
    encoder = OFFICIAL_ENCODERS[family]
    merges = _numbers(r'blocks\.(\d+)\.downsample\.', names)
    starts = [0, *merges]
    table = {theirs: f'backbone.{ours}' for theirs, ours in encoder['embedding'].items()}
    blocks = 1 + max(_numbers(r'blocks\.(\d+)\.', names), default=-1)
    last = blocks - 1 if family == 'ViT' else len(merges)
    table.update((f'norm.{kind}', f'backbone.norm{last}.{kind}') for kind in ('weight', 'bias'))
    for i in range(blocks):
        stage = sum(start <= i for start in starts) - 1
        ours = 'backbone' if family == 'ViT' else f'backbone.stages.{stage}'
        table.update((f'blocks.{i}.{k}', f'{ours}.blocks.{i - starts[stage]}.{v}') for k, v in encoder['block'].items())
        if i in merges:
            table.update((f'blocks.{i}.{k}', f'{ours}.{v}') for k, v in encoder['merge'].items())
    table.update((theirs, f'neck.{ours}') for theirs, ours in OFFICIAL_DECODER.items())
    for i in range(1 + max(_numbers(r'decoder_blocks\.(\d+)\.', names), default=-1)):
        table.update((f'decoder_blocks.{i}.{k}', f'neck.blocks.{i}.{v}') for k, v in OFFICIAL_TRANSFORMER_BLOCK.items())
    return table


def is_authors(weights):
    """Whether these weights are in the authors' names."""
    return {'patch_embed.proj.weight', 'blocks.0.norm1.weight'} <= set(weights)


def from_authors(state_dict, fine_tuned=False):
    """Maps the authors' names to those of :class:`UMMAE`.

    A dictionary of gradients with the same names maps the same way.

    Args:
        state_dict (dict[str, Tensor]): The authors' parameters.
        fine_tuned (bool): They are of a fine-tuned model: encoder names alone (``backbone.*``) are mapped, with the learned
            position embedding of a PVT; there is no decoder and no final norm, and ``fc_norm`` and ``head`` are left out.
            Defaults to False: of pre-training.

    Returns:
        dict[str, Tensor]: Ours, with names for ``UMMAE.load_state_dict(strict=True)``.

    Raises:
        InputError: Naming the first keys that are unknown or missing.
    """
    table = _official_table(state_dict)
    ignored = OFFICIAL_FIXED
    if fine_tuned:
        optional = {'vis_mask_token', 'norm.weight', 'norm.bias', 'pos_embed'}
        table = {theirs: ours for theirs, ours in {**table, 'pos_embed': 'backbone.pos_embed'}.items()
                 if ours.startswith('backbone.') and (theirs in state_dict or theirs not in optional)}
        ignored = {name for name in state_dict if name.startswith(('fc_norm.', 'head.'))}
    unknown = [name for name in state_dict if name not in table and name not in ignored]
    missing = [name for name in table if name not in state_dict]
    if unknown or missing:
        faults = [f'{kind} {", ".join(sorted(names)[:5])}{" ..." if len(names) > 5 else ""}'
                  for kind, names in (('unknown', unknown), ('missing', missing)) if names]
        kind = 'fine-tuned' if fine_tuned else 'pre-training'
        raise InputError(f"these are not the weights of the authors' {kind} model: {'; '.join(faults)} (expected all names "
                         f"of their UM-MAE Swin, PVT or ViT{', encoder and decoder' if not fine_tuned else ''})")
    return {ours: _official_shape(theirs, state_dict[theirs]) for theirs, ours in table.items()}


def _official_shape(name, tensor):
    """The authors keep tokens as (1, 1, C), and position MLPs and PVT's reduction as 1x1 convolutions."""
    if name.endswith(('mask_token', 'cls_token')):
        return tensor.flatten()
    if name == 'pos_embed':
        return tensor[0]
    return tensor.flatten(1) if ('posmlp' in name or '.attn.sr.' in name) and tensor.dim() == 4 else tensor
