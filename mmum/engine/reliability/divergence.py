"""Skip steps with non-finite gradients; after ten in a row, roll back to the last checkpoint."""

import json
import math
import statistics
from collections import deque
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmum.engine.reliability.loops import RollBack
from mmum.files import warn_on_write_error


@HOOKS.register_module()
class NonFiniteGradHook(Hook):
    """Keep non-finite gradients from the weights, log their norm, and note spikes of the loss.

    - A step with non-finite gradients is skipped, in every precision, as mixed precision does it,
      without touching the state of the optimiser. With DeepSpeed, which has made the step by then,
      training rolls back as soon as a loss is non-finite.
    - After ``patience`` such steps in a row, training rolls back to its last checkpoint and
      continues with other crops and masks (:class:`mmum.engine.reliability.loops.RollBack`).
      ``WORK_DIR/non_finite/iter_N.json`` has paths and masks of those batches.
    - A loss far above the recent ones is noted in the log, with the norm of its gradients.

    Args:
        patience (int): Number of steps in a row. Defaults to 10: mixed precision may skip several
            while it looks for its scale.
        spike (float): Number of standard deviations above the mean of the last 100 losses. Defaults
            to 6.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self, patience: int = 10, spike: float = 6.0) -> None:
        self.patience, self.spike = patience, spike
        self.recent: deque[float] = deque(maxlen=100)
        self.batches: list[dict[str, Any]] = []
        self.norm: float | None = None

    def before_train(self, runner: Any) -> None:
        """Watch the optimisers."""
        if getattr(self, 'handles', None):
            return  # after a roll-back
        wrapper = runner.optim_wrapper
        # With clipping, mmengine logs the norm itself.
        self.clips = bool(getattr(wrapper, 'clip_grad_kwargs', None))
        self.sharded = isinstance(runner.model, torch.distributed.fsdp.FullyShardedDataParallel)
        # DeepSpeed holds the gradients itself, and knows their norm after the step.
        self.norm_after_step = getattr(runner.model, 'get_global_grad_norm', None)
        if self.norm_after_step:
            return
        wrappers = wrapper.values() if hasattr(wrapper, 'values') else [wrapper]
        self.handles = [w.optimizer.register_step_pre_hook(self._check) for w in wrappers]

    @torch.no_grad()
    def _check(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        """Compute the norm of all gradients before a step; drop them if it is non-finite."""
        parameters = [
            p for group in optimizer.param_groups for p in group['params'] if p.grad is not None
        ]
        if not parameters:
            self.norm = 0.0
            return
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
        if self.sharded:  # every rank has a part of the gradients
            square = norm.float() ** 2
            all_reduce(square)
            norm = square.sqrt()
        scale = getattr(optimizer, 'grad_scale', None)  # of mixed precision, if it is fused
        self.norm = float(norm / scale if scale is not None else norm)
        if not math.isfinite(self.norm):
            for parameter in parameters:
                parameter.grad = None

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Forget the norm of the step before."""
        self.norm = None

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Log the norm, and count non-finite steps."""
        loss = None
        if isinstance(outputs, dict) and 'loss' in outputs:
            loss = float(torch.as_tensor(outputs['loss']).detach())
        updated = getattr(runner.optim_wrapper, 'should_update', lambda: True)()
        if self.norm_after_step and updated:  # it gives a number in any case: the loss must tell
            lost = torch.tensor(float(loss is None or not math.isfinite(loss)))
            all_reduce(lost, 'max')
            self.norm = math.nan if lost else float(self.norm_after_step())
        # None after an update: mixed precision skipped the step itself.
        bad = updated and (self.norm is None or not math.isfinite(self.norm))
        if self.norm is not None and not bad and not self.clips:
            runner.message_hub.update_scalar('train/grad_norm', self.norm)
        if loss is not None and math.isfinite(loss):
            self._note_spike(runner, loss)
        if bad:
            self.batches.append(self._describe(runner, data_batch, loss))
            skipped = f', the step is skipped ({len(self.batches)} in a row)'
            runner.logger.warning(
                f'iteration {runner.iter + 1}: non-finite gradients (loss {loss})'
                f'{"" if self.norm_after_step else skipped}'
            )
            if len(self.batches) >= self.patience or self.norm_after_step:
                self._roll_back(runner)
        elif updated:
            self.batches.clear()

    def _note_spike(self, runner: Any, loss: float) -> None:
        if len(self.recent) >= 20:
            mean, deviation = statistics.fmean(self.recent), statistics.stdev(self.recent)
            if loss > mean + self.spike * deviation:
                norm = '' if self.norm is None else f'; norm of the gradients {self.norm:.3g}'
                runner.logger.warning(
                    f'iteration {runner.iter + 1}: the loss {loss:.4g} is far above the last '
                    f'{len(self.recent)} ({mean:.4g} +- {deviation:.2g}){norm}'
                )
        self.recent.append(loss)

    def _roll_back(self, runner: Any) -> None:
        path = Path(runner.work_dir, 'non_finite', f'iter_{runner.iter + 1}.json')
        if is_main_process():
            with warn_on_write_error(str(path)):
                path.parent.mkdir(exist_ok=True)
                path.write_text(json.dumps(self.batches, indent=1))
        steps = len(self.batches)
        self.batches = []
        raise RollBack(f'{steps} steps in a row had non-finite gradients (their batches: {path})')

    @staticmethod
    def _describe(runner: Any, data_batch: Any, loss: float | None) -> dict[str, Any]:
        """Iteration and loss, and per image its path and its mask, a string per row of units."""
        samples = data_batch.get('data_samples', []) if isinstance(data_batch, dict) else []
        images = []
        for sample in samples:
            image: dict[str, Any] = dict(path=str(sample.get('img_path')))
            if 'mask' in sample:
                rows = torch.as_tensor(sample.get('mask')).tolist()
                image['mask'] = [''.join(map(str, row)) for row in rows]
            images.append(image)
        return dict(
            iteration=runner.iter + 1, epoch=runner.epoch + 1, loss=str(loss), images=images
        )
