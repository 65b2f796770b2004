"""Stop where a loaded checkpoint does not fit the model."""

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import HOOKS
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmum.checkpoints import weights_of
from mmum.checkpoints.decoder_settings import decoder_settings
from mmum.checkpoints.match import check_names, check_sizes, kind_of, names_of
from mmum.engine.config.differences import other_settings
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
            self._tell_differences(runner, str((checkpoint.get('meta') or {}).get('cfg') or ''))
        wrapped = is_model_wrapper(runner.model) or isinstance(runner.model, BaseTTAModel)
        model = runner.model.module if wrapped else runner.model
        source = f'the checkpoint {runner._load_from}'
        check_names(model, checkpoint, source, complete=getattr(runner, 'testing', False))
        weights, meta = weights_of(checkpoint), checkpoint.get('meta') or {}
        decoder = {name for name in names_of(model) if name.startswith('neck.')}
        if isinstance(model, BaseSelfSupervisor) and decoder - set(weights):
            raise InputError(
                f'{source}{kind_of(meta)} does not have the decoder of the config (neck): give a '
                'checkpoint of this pre-training as load_from, or start the encoder alone with '
                '--cfg-options model.backbone.init_cfg.type=BackboneCheckpoint '
                'model.backbone.init_cfg.checkpoint=FILE'
            )
        # asking FSDP for its state breaks it here, and torch compares the sizes of its shards
        if not isinstance(runner.model, FullyShardedDataParallel):
            check_sizes(model, checkpoint, source)
        self._check_decoder(model, weights, meta, source)

    @staticmethod
    def _tell_differences(runner: Any, before: str) -> None:
        """Say which settings of a resumed run are others than before."""
        found = other_settings(before, runner.cfg.pretty_text) if before else []
        if found:
            print_log(
                f'the run is resumed with other settings than it had: {preview(found, 8)}',
                'current',
                logging.WARNING,
            )

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
