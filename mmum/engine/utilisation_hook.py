"""Model FLOP utilisation: the share of a GPU's matrix speed that training uses."""

import logging
import random
import time
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from torch.nn.parallel import DistributedDataParallel
from torch.utils.flop_counter import FlopCounterMode


@HOOKS.register_module()
class UtilisationHook(Hook):
    """Count the FLOPs of a training step, for ``mfu`` in the log line and in all curves.

    Before the first step one forward and backward of its batch are counted, exactly; no random
    number of the training is used up. :class:`~mmum.engine.ProgressLogProcessor` divides them by
    the time of a step, data and optimiser included, and by the speed of one large product in the
    type of the training, which is measured once. Models in wrappers other than DDP, and compiled
    ones, are not counted.

    Args:
        on_cpu (bool): Whether to do so on a CPU too. Defaults to False.
    """

    priority = 'VERY_LOW'

    def __init__(self, on_cpu: bool = False) -> None:
        self.on_cpu = on_cpu
        self.done = False

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Count the first step."""
        if self.done:
            return
        self.done = True
        device = next(runner.model.parameters()).device
        wrapper, model = is_model_wrapper(runner.model), runner.model
        compiled = any(type(hook).__name__ == 'CompileBlocksHook' for hook in runner.hooks)
        if wrapper and not isinstance(model, DistributedDataParallel) or compiled:
            return
        if device.type != 'cuda' and not self.on_cpu:
            return
        model = model.module if wrapper else model
        flop, dtype = count_step(runner.optim_wrapper, model, data_batch)
        runner.flop_rate = (flop, product_speed(dtype, device))
        print_log(
            f'a step has {flop / 1e9:.4g} GFLOP a rank; one large product in {dtype} runs at '
            f'{runner.flop_rate[1] / 1e12:.3g} TFLOP/s',
            'current',
            logging.INFO,
        )


def count_step(optim_wrapper: Any, model: Any, data_batch: Any) -> tuple[int, torch.dtype]:
    """Count the FLOPs of a forward and backward, and leave everything as it was.

    Args:
        optim_wrapper (OptimWrapper): Whose autocast counts.
        model (BaseModel): The model, without gradients.
        data_batch (Any): A batch of the data loader.

    Returns:
        tuple[int, torch.dtype]: FLOPs, and the type of the products.
    """
    states = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        with torch.random.fork_rng(devices=list(devices)):
            data = model.data_preprocessor(data_batch, True)
            data = data if isinstance(data, dict) else dict(inputs=data)
            with FlopCounterMode(display=False) as counter:
                with optim_wrapper.optim_context(model):
                    kind = torch.get_autocast_dtype(next(model.parameters()).device.type)
                    cast = torch.is_autocast_enabled(next(model.parameters()).device.type)
                    loss, _ = model.parse_losses(model(**data, mode='loss'))
                loss.backward()
    finally:
        model.zero_grad(set_to_none=True)
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
        random.setstate(states[0])
        np.random.set_state(states[1])
    return counter.get_total_flops(), kind if cast else torch.float32


def product_speed(dtype: torch.dtype, device: torch.device, repeats: int = 5) -> float:
    """Measure one large matrix product.

    Args:
        dtype (torch.dtype): Of the matrices.
        device (torch.device): Where.
        repeats (int): The fastest counts. Defaults to 5.

    Returns:
        float: FLOP/s.
    """
    side = 8192 if device.type == 'cuda' else 1024
    generator = torch.Generator(device).manual_seed(0)
    a, b = torch.randn(2, side, side, device=device, generator=generator).to(dtype)
    best = float('inf')
    for _ in range(repeats + 1):  # the first one warms up
        start = time.perf_counter()
        a @ b
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best
