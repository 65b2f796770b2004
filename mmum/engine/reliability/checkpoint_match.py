"""Stop where a loaded checkpoint does not fit the model."""

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import HOOKS
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmum.checkpoints import weights_of
from mmum.checkpoints.authors_files import KINDS
from mmum.checkpoints.decoder_settings import decoder_settings
from mmum.engine.reliability.schedule import follow_config
from mmum.errors import InputError, preview


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Stop where a loaded checkpoint does not fit the model, where mmengine keeps random weights.

    For training, one matching parameter is enough, and in pre-training the whole decoder; for
    testing, all must be there. A decoder must do with its weights what it did in its training.
    """

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Compare names, sizes and settings; of a run that is resumed also the schedule.

        Raises:
            InputError: If nothing matches, if a size differs, if a test lacks parameters, if there
                is no decoder for a model that has one, or if that one has other settings than in
                its training.
        """
        if getattr(runner, '_resume', False):
            follow_config(runner, checkpoint)
        wrapped = is_model_wrapper(runner.model) or isinstance(runner.model, BaseTTAModel)
        model = runner.model.module if wrapped else runner.model
        source = f'the checkpoint {runner._load_from}'
        meta = checkpoint.get('meta') or {}
        # Asking FSDP for its state breaks it here: names will do, and torch compares sizes itself.
        sharded = isinstance(runner.model, FullyShardedDataParallel)
        own = model.named_parameters() if sharded else model.state_dict().items()
        wanted = {name.replace('_fsdp_wrapped_module.', ''): value for name, value in own}
        weights = weights_of(checkpoint)
        if not set(weights) & set(wanted):
            raise InputError(
                f'nothing in {source} matches the model of the config: it has '
                f'{preview(list(weights))}, wanted are {preview(list(wanted))}; give a checkpoint '
                'of this config'
            )
        missing = [name for name, _ in model.named_parameters() if name not in weights]
        if 'authors' in meta:  # the token of masking is of no use to a fine-tuned model
            missing = [name for name in missing if name != 'backbone.secondary_token']
        if getattr(runner, 'testing', False) and missing:
            raise InputError(
                f'{source}{_kind(meta)} lacks {len(missing)} parameters of the model of the config '
                f'({preview(missing)}): {_advice(weights, missing)}'
            )
        decoder = {name for name in wanted if name.startswith('neck.')}
        if isinstance(model, BaseSelfSupervisor) and decoder - set(weights):
            raise InputError(
                f'{source}{_kind(meta)} does not have the decoder of the config (neck): give a '
                'checkpoint of this pre-training as load_from, or start the encoder alone with '
                '--cfg-options model.backbone.init_cfg.type=BackboneCheckpoint '
                'model.backbone.init_cfg.checkpoint=FILE'
            )
        for name, value in wanted.items():
            if name in weights and not sharded and weights[name].shape != value.shape:
                if name.endswith('pos_embed'):
                    continue  # resized while it is loaded
                hint = ' (num_classes=N sets the number of classes)' if 'head.' in name else ''
                raise InputError(
                    f'{source} is of another size than the model of the config: {name} is '
                    f'{tuple(weights[name].shape)} in it and {tuple(value.shape)} here; give a '
                    f'checkpoint of this config{hint}'
                )
        self._check_decoder(model, weights, meta, source)

    @staticmethod
    def _check_decoder(
        model: nn.Module, weights: Mapping[str, Any], meta: Mapping[str, Any], source: str
    ) -> None:
        """Compare what leaves no trace in the weights of a decoder with that of its training."""
        neck = getattr(model, 'neck', None)
        if neck is None or not any(name.startswith('neck.') for name in weights):
            return
        for name, trained in decoder_settings(meta).items():
            if name == 'visible_positions' and getattr(neck, 'is_vit', False):
                continue  # behind a ViT both are the same
            own = getattr(neck, name, trained)
            if own != trained:
                raise InputError(
                    f'{source} has a decoder that was trained with {name}={trained!r}, and the '
                    f'config has {own!r}, with which the same weights predict something else: pass '
                    f'--cfg-options model.neck.{name}={trained}'
                )


def _kind(meta: Mapping[str, Any]) -> str:
    return f' ({KINDS[meta["authors"]]})' if meta.get('authors') in KINDS else ''


def _advice(weights: Mapping[str, Any], missing: list[str]) -> str:
    """Advise on a checkpoint that lacks parameters."""
    if any(name.startswith('head.fc') for name in missing):
        return (
            'it has no classifier; fine-tune it first (tools/train.py with pretrained=FILE), or '
            'give a fine-tuned checkpoint'
        )
    if any(name.startswith('neck.') for name in missing) and any('head.' in k for k in weights):
        return 'it is a fine-tuned classifier without decoder; give a checkpoint of pre-training'
    return 'give a checkpoint that was trained with this config'
