"""ZeRO-1, saved by all ranks together."""
from mmengine.optim import ZeroRedundancyOptimizer
from mmengine.registry import OPTIMIZERS
from torch.distributed.optim import ZeroRedundancyOptimizer as TorchZeroRedundancyOptimizer


@OPTIMIZERS.register_module()
class ShardedOptimizer(ZeroRedundancyOptimizer):
    """mmengine's ``ZeroRedundancyOptimizer``, of which every rank keeps its share of the moments.

    mmengine's gathers them when its state is asked for, which only the first rank does when a checkpoint is saved: it would
    wait for the others for ever. Here ``AtomicCheckpointHook`` calls :meth:`gather_state` on all ranks before.

    Args:
        params (Iterable): Parameters or groups of them.
        optimizer_type (str): For example 'AdamW'.
        **kwargs: Of that optimiser.
    """

    def gather_state(self):
        """Brings the state of all ranks to the first; to be called by all."""
        self.consolidate_state_dict(to=0)

    def state_dict(self):
        """Of all ranks on the first, after :meth:`gather_state`."""
        return TorchZeroRedundancyOptimizer.state_dict(self)
