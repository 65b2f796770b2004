"""FSDP: what it shards by itself, and going on."""
from mmengine._strategy import FSDPStrategy
from mmengine.registry import FUNCTIONS, STRATEGIES
from torch.distributed.fsdp import FullyShardedDataParallel

from mmum.engine.scale.compile import BLOCKS


@FUNCTIONS.register_module()
def wrap_blocks(module, recurse, nonwrapped_numel):
    """``auto_wrap_policy`` of FSDP: every block of encoder and decoder is gathered and freed by itself."""
    return recurse or isinstance(module, BLOCKS)


@STRATEGIES.register_module()
class ResumableFSDPStrategy(FSDPStrategy):
    """mmengine's ``FSDPStrategy``, whose optimiser goes on too: mmengine gives torch the arguments in the order of torch 2.0.

    Args:
        **kwargs: Of ``FSDPStrategy``.
    """

    def load_optim_state_dict(self, state_dict):
        """Every rank takes its share of the whole state."""
        self.optim_wrapper.load_state_dict(FullyShardedDataParallel.optim_state_dict_to_load(
            self.model, self.optim_wrapper.optimizer, state_dict))
