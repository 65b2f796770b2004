"""Stop where a loaded checkpoint does not fit the model."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import HOOKS
from torch.distributed.fsdp import FullyShardedDataParallel

from mmum.checkpoints import weights_of
from mmum.errors import InputError, preview


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Stop where a loaded checkpoint does not fit the model, where mmengine keeps random weights.

    For training, one matching parameter is enough; for testing, all must be there.
    """

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Compare names and sizes.

        Raises:
            InputError: If nothing matches, if a size differs, or if a test lacks parameters.
        """
        wrapped = is_model_wrapper(runner.model) or isinstance(runner.model, BaseTTAModel)
        model = runner.model.module if wrapped else runner.model
        source = f'the checkpoint {runner._load_from}'
        # Asking FSDP for its state breaks it here: names will do, and torch compares sizes itself.
        sharded = isinstance(runner.model, FullyShardedDataParallel)
        wanted = (
            model.state_dict()
            if not sharded
            else {
                name.replace('_fsdp_wrapped_module.', ''): value
                for name, value in model.named_parameters()
            }
        )
        weights = weights_of(checkpoint)
        if not set(weights) & set(wanted):
            raise InputError(
                f'nothing in {source} matches the model of the config: it has '
                f'{preview(list(weights))}, wanted are {preview(list(wanted))}; give a checkpoint '
                'of this config'
            )
        missing = [name for name, _ in model.named_parameters() if name not in weights]
        if getattr(runner, 'testing', False) and missing:
            raise InputError(
                f'{source} lacks {len(missing)} parameters of the model of the config '
                f'({preview(missing)}): give a checkpoint that was trained with this config'
            )
        for name, value in wanted.items():
            if name in weights and not sharded and weights[name].shape != value.shape:
                raise InputError(
                    f'{source} is of another size than the model of the config: {name} is '
                    f'{tuple(weights[name].shape)} in it and {tuple(value.shape)} here; give a '
                    'checkpoint of this config'
                )
