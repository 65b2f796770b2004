"""Write checkpoints atomically, and keep training when the disk is full."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS, VISBACKENDS
from mmengine.visualization import LocalVisBackend

from mmum.files import atomic_write, warn_on_write_error


class AtomicFileBackend(LocalBackend):
    """mmengine's local files, written atomically: there is the old file or the new one."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes."""
        atomic_write(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text."""
        atomic_write(filepath, obj.encode(encoding))


register_backend('atomic', AtomicFileBackend, force=True)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, with which nothing is lost.

    - A checkpoint is written under another name, synced and renamed; then the pointer
      ``last_checkpoint`` in the same way; only then are old ones removed. A kill at any moment
      leaves the last good one and the pointer to it.
    - A full or faulty disk does not end training: there is a warning, the previous checkpoint
      stays, and the next interval tries again.
    - Optimisers whose state is sharded over ranks (ZeRO) are gathered by all ranks first.

    Args:
        *args: Arguments of mmengine's ``CheckpointHook``.
        **kwargs: Arguments of mmengine's ``CheckpointHook``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault('backend_args', dict(backend='atomic'))
        super().__init__(*args, **kwargs)
        self.written: str | None = None

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict[str, Any]) -> None:
        filename = self.filename_tmpl.format(step)
        path = self.file_backend.join_path(self.out_dir, filename)
        kept, last = getattr(self, 'keep_ckpt_ids', ()), self.last_ckpt
        steps = [*(old for old in kept if old != step), step]
        new = steps[-self.max_keep_ckpts :] if self.max_keep_ckpts > 0 else steps
        # Before writing: the file itself says what a resumed run has.
        self._remember(runner, new, path)
        if not self._write(runner, filename, meta, self.by_epoch):
            self._remember(runner, kept, last)
            return
        if is_main_process():
            for old in steps[: -len(new)]:
                name = self.filename_tmpl.format(old)
                self._remove(self.file_backend.join_path(self.out_dir, name))
            stopped_at = runner.message_hub.runtime_info.get('stopped_at')
            if stopped_at:  # the checkpoint of save_now has served
                self._remove(stopped_at)
        runner.message_hub.update_info('stopped_at', None)

    def save_now(self, runner: Any) -> str | None:
        """Write ``iter_N.pth`` at the end of a step, whatever the interval.

        Returns:
            str | None: Its path; None if it could not be written.
        """
        filename = f'iter_{runner.iter + 1}.pth'
        path = self.file_backend.join_path(self.out_dir, filename)
        if self.written == path:  # a regular one of this very step
            return path
        runner.message_hub.update_info('stopped_at', path)
        return path if self._write(runner, filename, {}, by_epoch=False) else None

    def _write(self, runner: Any, filename: str, meta: dict[str, Any], by_epoch: bool) -> bool:
        """Write a checkpoint and the pointer to it; return whether that succeeded."""
        optimizer: Any = getattr(runner.optim_wrapper, 'optimizer', None)
        if hasattr(optimizer, 'gather_state'):
            optimizer.gather_state()
        path = self.file_backend.join_path(self.out_dir, filename)
        try:
            runner.save_checkpoint(
                self.out_dir,
                filename,
                self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
            if is_main_process():
                atomic_write(Path(runner.work_dir, 'last_checkpoint'), str(path).encode())
        except OSError as error:
            runner.logger.warning(
                f'the checkpoint {path} could not be written ({error.strerror or error}): training '
                f'continues with {self.written or "the previous checkpoint"}, and the next '
                'interval tries again; make room'
            )
            return False
        self.written = path
        return True

    def _remember(self, runner: Any, steps: Sequence[int], path: str | None) -> None:
        """Note which checkpoints there are, where mmengine looks for it."""
        self.last_ckpt = path
        runner.message_hub.update_info('last_ckpt', path)
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids = deque(steps, self.max_keep_ckpts)
            runner.message_hub.update_info('keep_ckpt_ids', list(steps))

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # DeepSpeed's checkpoint is a folder
            self.file_backend.rmtree(path)


@VISBACKENDS.register_module()
class FaultTolerantLocalVisBackend(LocalVisBackend):
    """mmengine's ``LocalVisBackend``, which on a full disk skips a line of the curves.

    Args:
        **kwargs: Arguments of ``LocalVisBackend``.
    """

    def _dump(self, value_dict: dict[str, Any], file_path: str, file_format: str) -> None:
        with warn_on_write_error(file_path):
            super()._dump(value_dict, file_path, file_format)
