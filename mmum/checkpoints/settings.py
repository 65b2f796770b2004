"""Read from a checkpoint how to build its backbone and which images it expects."""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmum.checkpoints.identify import Identified
from mmum.checkpoints.swin_sizes import arch_of, depths_of
from mmum.errors import InputError
from mmum.models import UMPVT, UMViT

# Settings of training, which a backbone for features goes without.
TRAINING = (
    'compact',
    'drop_path_rate',
    'drop_rate',
    'frozen_stages',
    'init_cfg',
    'out_type',
    'weight_init',
    'with_cp',
)
IMAGENET = dict(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


@dataclass
class Settings:
    """Config of a dense backbone, and the images that it was trained on.

    Attributes:
        backbone (dict): Config of the backbone: ``type`` and its arguments.
        image_size (int): Side of the images in training, in pixels.
        mean (Sequence[float]): Mean of every channel, 0 to 255.
        std (Sequence[float]): Standard deviation of every channel.
        to_rgb (bool): Whether the channels are red, green, blue (and not reversed).
        known_images (bool): Whether the checkpoint says how its images were normalised; False if
            ImageNet's numbers stand in.
    """

    backbone: dict[str, Any]
    image_size: int = 256
    mean: Any = IMAGENET['mean']
    std: Any = IMAGENET['std']
    to_rgb: bool = True
    known_images: bool = True

    def header(self) -> str:
        """The settings as JSON, for the header of a safetensors file."""
        return json.dumps(asdict(self))


def settings_of(
    content: Mapping[str, Any], identified: Identified, path: str, arch: Any = None
) -> Settings:
    """Read the settings of the backbone in a checkpoint.

    They are in the header of a ``backbone.safetensors``, in the config that mmengine saves with a
    checkpoint, or follow from the sizes of the weights.

    Args:
        content (Mapping): Content of the checkpoint.
        identified (Identified): Its weights in our names.
        path (str): The checkpoint, named in errors.
        arch (Any): The arch of the backbone, where the user knows it. Defaults to None.

    Returns:
        Settings: The settings.

    Raises:
        InputError: If sizes of the backbone do not follow from the weights.
    """
    return recorded_settings(content) or Settings(
        _from_weights(identified, path, arch), known_images=False
    )


def recorded_settings(content: Mapping[str, Any]) -> Settings | None:
    """Read the settings that a checkpoint of this project records, None of any other file.

    Args:
        content (Mapping): Content of the checkpoint.

    Returns:
        Settings | None: The settings.
    """
    meta = content.get('meta') if isinstance(content, Mapping) else None
    if not isinstance(meta, Mapping):
        return None
    if 'settings' in meta:
        return Settings(**json.loads(meta['settings']))
    cfg = parse_config(str(meta.get('cfg') or meta.get('config') or ''))
    backbone = cfg.get('model', {}).get('backbone')
    if isinstance(backbone, Mapping) and str(backbone.get('type')).startswith('UM'):
        return settings_of_config(cfg)
    return None


def settings_of_config(cfg: Mapping[str, Any]) -> Settings:
    """Settings of the dense backbone of a config, a pre-training or other."""
    model = cfg['model']
    backbone = {k: v for k, v in model['backbone'].items() if k not in TRAINING}
    compact = model.get('type') == 'UMMAE'
    dense_window = backbone.pop('dense_window_size', None)
    dense_ratios = backbone.pop('dense_sr_ratios', None)
    if backbone['type'] == 'UMSwin':
        window = backbone.get('window_size', 8)
        backbone['window_size'] = dense_window or (2 * window if compact else window)
    elif backbone['type'] == 'UMPVT':
        ratios = tuple(backbone.get('sr_ratios', (4, 2, 1, 1)))
        halved = compact and ratios == (4, 2, 1, 1)
        backbone['sr_ratios'] = dense_ratios or ((8, 4, 2, 1) if halved else ratios)
    preprocessor = model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    fields = {k: preprocessor[k] for k in ('mean', 'std') if preprocessor.get(k)}
    if preprocessor:  # mmpretrain's word, and mmdet's
        fields['to_rgb'] = bool(preprocessor.get('to_rgb') or preprocessor.get('bgr_to_rgb'))
    size = _input_size(cfg.get('train_dataloader') or cfg.get('test_dataloader'))
    own = backbone.get('img_size')
    known = {'mean', 'std'} <= set(fields)
    size = size or (own if isinstance(own, int) else 256)
    return Settings(backbone, size, **fields, known_images=known)


def _input_size(value: Any) -> int | None:
    """Side of the images that a pipeline makes, as its mask says, however it is wrapped."""
    if isinstance(value, Mapping):
        if isinstance(value.get('input_size'), int):
            return int(value['input_size'])
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return next((size for item in value if (size := _input_size(item))), None)
    return None


def parse_config(
    text: str,
    wanted: Sequence[str] = ('model', 'data_preprocessor', 'train_dataloader', 'test_dataloader'),
) -> dict[str, Any]:
    """Read the top-level dicts of these names from a config that was saved as text.

    Nothing in it is run: only literals and ``dict(...)`` are understood.
    """
    result = {}
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError):  # ValueError: of null bytes
        return {}
    for node in statements:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id in wanted:
                result[node.targets[0].id] = _literal(node.value)
    return {key: value for key, value in result.items() if isinstance(value, dict)}


def _literal(node: ast.expr) -> Any:
    """Value of a literal or ``dict(...)``; None for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        return {k.arg: _literal(k.value) for k in node.keywords if k.arg}
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values)
        return {_literal(key): _literal(value) for key, value in pairs if key is not None}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_literal(item) for item in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _from_weights(identified: Identified, path: str, arch: Any) -> dict[str, Any]:
    """Config of a dense backbone by the sizes of its weights."""
    weights, kind = identified.backbone, identified.kind
    if kind == 'stock Swin':
        sizes = {k: v for k, v in arch_of(weights).items() if k != 'qkv_bias'}
        return dict(type='UMStockSwin', **sizes)
    patch = weights['patch_embed.weight']
    cfg: dict[str, Any] = dict(type=kind, in_channels=patch.shape[1])
    if kind == 'UMSwin':
        heads = [
            weights[f'stages.{i}.blocks.0.attn.pos_mlp.2.weight'].shape[0]
            for i in range(len(depths_of(weights)))
        ]
        hidden = weights['stages.0.blocks.0.attn.pos_mlp.0.weight'].shape[0]
        sizes = dict(embed_dims=patch.shape[0], depths=depths_of(weights), num_heads=heads)
        return dict(cfg, arch=sizes, pos_mlp_dims=hidden, window_size=16)
    # The number of heads leaves no trace in these weights.
    zoo: Mapping[str, Any] = UMPVT.arch_zoo if kind == 'UMPVT' else UMViT.arch_zoo
    cfg.update(dict(learn_positions=True) if 'pos_embed' in weights else {})
    cfg.update(dict(sr_ratios=(8, 4, 2, 1)) if kind == 'UMPVT' else {})
    if arch is not None:
        return dict(cfg, arch=arch)
    for name, named in zoo.items():
        dims = named['embed_dims']
        if patch.shape[0] == (dims[0] if isinstance(dims, tuple) else dims):
            return dict(cfg, arch=name)
    raise InputError(
        f'{path} holds a {kind} of a size without a name, and its number of heads is not in the '
        f'weights: pass arch=dict(...) with {", ".join(next(iter(zoo.values())))}'
    )
