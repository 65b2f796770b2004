"""Backbones by name: for mmpretrain's ``get_model``, and for timm where it is installed."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmum.checkpoints import load_backbone
from mmum.resources import resources

# timm's name -> backbone, dense as for transfer
TIMM_MODELS: dict[str, dict[str, Any]] = dict(
    um_swin_tiny=dict(type='UMSwin', arch='tiny', window_size=16),
    um_swin_small=dict(type='UMSwin', arch='small', window_size=16),
    um_swin_base=dict(type='UMSwin', arch='base', window_size=16),
    um_swin_large=dict(type='UMSwin', arch='large', window_size=16, pos_mlp_dims=64),
    um_pvt_small=dict(type='UMPVT', arch='small', sr_ratios=(8, 4, 2, 1)),
)
# Folders whose models mmpretrain can build; detectors are mmdet's.
HUB_FOLDERS = ('selfsup', 'classification')


def register_with_mmpretrain() -> None:
    """Let ``mmpretrain.list_models`` and ``get_model`` know the configs of mmum."""
    from mmpretrain.apis.model import ModelHub

    if ModelHub.has('um_mae_swin_t'):
        return
    for folder in HUB_FOLDERS:
        index = resources() / 'configs' / folder / 'metafile.yml'
        if index.is_file():
            ModelHub.register_model_index(index, config_prefix=resources())


class TimmBackbone(nn.Module):
    """A backbone with timm's methods: ``forward_features``, ``forward_head``, ``features_only``.

    Args:
        backbone (dict): Config of the backbone.
        num_classes (int): Classes of the linear head on mean-pooled features; 0 for none.
        features_only (bool): Whether ``forward`` returns a list of maps, NCHW.
        out_indices (Sequence[int]): Stages to return with ``features_only``.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any],
        num_classes: int = 1000,
        features_only: bool = False,
        out_indices: Sequence[int] = (0, 1, 2, 3),
    ) -> None:
        super().__init__()
        from timm.models._features import FeatureInfo

        indices = tuple(out_indices) if features_only else (3,)
        norms = {} if not features_only else dict(norm_cfg=None)  # raw maps, as timm's
        self.backbone = MODELS.build(dict(backbone, out_indices=indices, **norms))
        self.backbone.init_weights()
        self.features_only = features_only
        info = [
            dict(num_chs=dim, reduction=4 * 2**i, module=f'stages.{i}')
            for i, dim in enumerate(self.backbone.dims)
        ]
        self.feature_info = FeatureInfo(info, tuple(self.backbone.out_indices))
        self.num_features = self.head_hidden_size = self.backbone.dims[-1]
        self.reset_classifier(0 if features_only else num_classes)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the linear head; 0 classes for none."""
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        """The linear head."""
        return self.head

    def forward_features(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> the last map (N, H/32, W/32, C'), channels last as timm's Swin."""
        return self.backbone(x)[-1].permute(0, 2, 3, 1)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Map (N, H, W, C) -> logits, or mean-pooled features with ``pre_logits``."""
        x = x.mean((1, 2))
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Any:
        """Logits (or features where there is no head); a list of maps with ``features_only``."""
        if self.features_only:
            return list(self.backbone(x))
        return self.forward_head(self.forward_features(x))

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load own weights, or those of any checkpoint that mmum reads, head left as it is."""
        own = self.state_dict()
        if set(state_dict) == set(own):
            return super().load_state_dict(state_dict, strict, assign)
        report = load_backbone(self.backbone, state_dict)
        if not isinstance(self.head, nn.Identity):
            report += f'\n  new: the head of {self.num_classes} classes'
        return report


def register_with_timm() -> None:
    """Let ``timm.create_model`` know mmum's backbones, where timm is installed."""
    if importlib.util.find_spec('timm') is None:
        return
    from timm.models import register_model

    for name, backbone in TIMM_MODELS.items():
        register_model(_entrypoint(name, backbone))


def _entrypoint(name: str, backbone: Mapping[str, Any]) -> Callable[..., nn.Module]:
    def create(
        pretrained: bool = False,
        num_classes: int = 1000,
        features_only: bool = False,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        in_chans: int = 3,
        pretrained_cfg: Any = None,
        pretrained_cfg_overlay: Any = None,
        cache_dir: Any = None,
        **kwargs: Any,
    ) -> nn.Module:
        if pretrained:
            raise RuntimeError(
                f'there are no released weights of {name}: give a file of yours, '
                'checkpoint_path=...'
            )
        cfg = dict(backbone, in_channels=in_chans, **kwargs)
        with torch.no_grad():
            return TimmBackbone(cfg, num_classes, features_only, out_indices)

    create.__name__ = create.__qualname__ = name
    create.__module__ = __name__
    create.__doc__ = f'mmum.models.{backbone["type"]}, {backbone["arch"]}.'
    return create
