"""A loss that blows up: its step is left out, and after some in a row the training goes back."""
import json
import math
import statistics
from collections import deque
from pathlib import Path

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmum.engine.reliability.loops import RollBack
from mmum.files import warn_on_write_error


@HOOKS.register_module()
class NonFiniteGradHook(Hook):
    """Logs the norm of the gradients, notes spikes of the loss, and keeps gradients that are not finite from the weights.

    - A step whose gradients are not finite is left out, in every precision: as mixed precision does it, without touching the
      state of the optimiser.
      With DeepSpeed, where the step is made by then, the training goes back as soon as a loss is not finite.
    - After ``patience`` of them in a row the training goes back to its last checkpoint and on from there with other crops
      and masks (:class:`mmum.engine.reliability.loops.RollBack`). ``WORK_DIR/blow_ups/iter_N.json`` has paths and masks of those batches.
    - A loss far above the recent ones is noted in the log, with the norm of its gradients.

    Args:
        patience (int): Steps in a row. Defaults to 10: mixed precision may leave out several while it looks for its scale.
        spike (float): How many standard deviations above the mean of the last 100 losses. Defaults to 6.
    """
    priority = 'ABOVE_NORMAL'

    def __init__(self, patience=10, spike=6.):
        self.patience, self.spike = patience, spike
        self.recent, self.batches = deque(maxlen=100), []
        self.norm = None

    def before_train(self, runner):
        if getattr(self, 'handles', None):
            return  # after going back
        wrapper = runner.optim_wrapper
        self.clips = bool(getattr(wrapper, 'clip_grad_kwargs', None))  # then mmengine logs the norm
        self.sharded = isinstance(runner.model, torch.distributed.fsdp.FullyShardedDataParallel)
        # DeepSpeed holds the gradients itself, and knows their norm after the step
        self.norm_after_step = getattr(runner.model, 'get_global_grad_norm', None)
        if self.norm_after_step:
            return
        wrappers = wrapper.values() if hasattr(wrapper, 'values') else [wrapper]
        self.handles = [one.optimizer.register_step_pre_hook(self._look) for one in wrappers]

    @torch.no_grad()
    def _look(self, optimizer, args, kwargs):
        """Before a step: the norm of all gradients; none are left if it is not finite."""
        parameters = [p for group in optimizer.param_groups for p in group['params'] if p.grad is not None]
        if not parameters:
            self.norm = 0.
            return
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
        if self.sharded:  # every rank has a part of them
            square = norm.float()**2
            all_reduce(square)
            norm = square.sqrt()
        scale = getattr(optimizer, 'grad_scale', None)  # of mixed precision, with a fused optimiser
        self.norm = float(norm / scale if scale is not None else norm)
        if not math.isfinite(self.norm):
            for parameter in parameters:
                parameter.grad = None

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.norm = None

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        loss = float(torch.as_tensor(outputs['loss']).detach()) if isinstance(outputs, dict) and 'loss' in outputs else None
        updated = getattr(runner.optim_wrapper, 'should_update', lambda: True)()
        if self.norm_after_step and updated:  # it has a number for every norm, so the loss must tell
            lost = torch.tensor(float(not math.isfinite(loss)))
            all_reduce(lost, 'max')
            self.norm = math.nan if lost else float(self.norm_after_step())
        # None after an update: mixed precision left it out itself
        bad = updated and (self.norm is None or not math.isfinite(self.norm))
        if self.norm is not None and not bad and not self.clips:
            runner.message_hub.update_scalar('train/grad_norm', self.norm)
        if loss is not None and math.isfinite(loss):
            self._note_spike(runner, loss)
        if bad:
            self.batches.append(self._describe(runner, data_batch, loss))
            left = '' if self.norm_after_step else f', its step is left out ({len(self.batches)} in a row)'
            runner.logger.warning(f'iteration {runner.iter + 1}: the gradients are not finite (loss {loss}){left}')
            if len(self.batches) >= self.patience or self.norm_after_step:
                self._give_up(runner)
        elif updated:
            self.batches.clear()

    def _note_spike(self, runner, loss):
        if len(self.recent) >= 20:
            mean, deviation = statistics.fmean(self.recent), statistics.stdev(self.recent)
            if loss > mean + self.spike * deviation:
                norm = '' if self.norm is None else f'; norm of the gradients {self.norm:.3g}'
                runner.logger.warning(f'iteration {runner.iter + 1}: the loss {loss:.4g} is far above the last '
                                      f'{len(self.recent)} ({mean:.4g} +- {deviation:.2g}){norm}')
        self.recent.append(loss)

    def _give_up(self, runner):
        path = Path(runner.work_dir, 'blow_ups', f'iter_{runner.iter + 1}.json')
        if is_main_process():
            with warn_on_write_error(str(path)):
                path.parent.mkdir(exist_ok=True)
                path.write_text(json.dumps(self.batches, indent=1))
        reason = f'{len(self.batches)} steps in a row had gradients that are not finite (their batches: {path})'
        self.batches = []
        raise RollBack(reason)

    @staticmethod
    def _describe(runner, data_batch, loss):
        """Iteration, loss, and of each image its path and mask, a row of units a string."""
        samples = data_batch.get('data_samples', []) if isinstance(data_batch, dict) else []
        images = []
        for sample in samples:
            image = dict(path=str(sample.get('img_path')))
            if 'mask' in sample:
                image['mask'] = [''.join(map(str, row)) for row in torch.as_tensor(sample.get('mask')).tolist()]
            images.append(image)
        return dict(iteration=runner.iter + 1, epoch=runner.epoch + 1, loss=str(loss), images=images)
