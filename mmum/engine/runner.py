"""Runners that survive faults, under any launcher.

``runner_type='FaultTolerantRunner'`` in a config is all that it takes: mmdet's, mmpretrain's and
mmseg's own ``tools/train.py``, and ``RUNNERS.build(cfg)``, build the runner that a config names.
"""

import os.path as osp
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import FlexibleRunner, Runner

from mmum.engine.config.prepare import prepare
from mmum.engine.config.replacements import REPLACEMENTS
from mmum.engine.console import quieten
from mmum.engine.finish import finish
from mmum.engine.preflight import preflight
from mmum.engine.reliability.resume import (
    WorkDirLock,
    check_unused,
    find_latest_checkpoint,
    register_safe_loader,
)
from mmum.engine.reliability.schedule import drop_short_warmups
from mmum.errors import InputError
from mmum.files import check_writable
from mmum.workers import shield_workers


def await_new_name(cfg: Config) -> None:
    """Wait while another run of this process has the name that a new one would get.

    mmengine names runs by the second, and gives the second of a name the log file of the first.
    """
    name = cfg.get('experiment_name') or osp.splitext(osp.basename(cfg.filename or ''))[0]
    while MMLogger.check_instance_created(f'{name}_{time.strftime("%Y%m%d_%H%M%S")}'):
        time.sleep(0.05)


@contextmanager
def name_unknown_types() -> Iterator[None]:
    """Turn the KeyError of mmengine's registries into an InputError."""
    try:
        yield
    except KeyError as error:
        unknown = re.search(r'(\w+) is not in the (?:\w+::)?(\w+) registry', str(error))
        if unknown is None:
            raise
        raise InputError(
            f"the config names a {unknown[2]} '{unknown[1]}', which is not registered: look "
            'for a misspelt type, or import its module by custom_imports'
        ) from error


class FaultTolerance:
    """Mixin of both runners: fault tolerance on top of mmengine's.

    Atomic checkpoints, exact resume, signals, roll-back of non-finite steps, replacement of
    unreadable images, safe reading of checkpoints, one job per work directory, and checks of all
    files before hours are spent: see docs/reliability.md.
    """

    testing = False
    cfg: Config
    work_dir: str
    _has_loaded: bool
    _load_from: str | None
    _resume: Any
    train_dataloader: Any

    @classmethod
    def from_cfg(cls, cfg: Config) -> Any:
        """Prepare a config and build a runner from it.

        Raises:
            InputError: If the config sets an argument that does not exist, or if an entry cannot
                be.
        """
        register_safe_loader()
        prepare(cfg)
        await_new_name(cfg)
        if is_main_process():
            check_writable(cfg.work_dir, f'the work directory {cfg.work_dir}')
        try:
            with name_unknown_types():
                return super().from_cfg(cfg)
        except TypeError as error:
            if 'unexpected keyword argument' not in str(error):
                raise
            reason = str(error).splitlines()[-1]
            raise InputError(
                f'the config sets what is not there: {reason}; look for a misspelt key'
            ) from error

    def build_logger(self, *args: Any, **kwargs: Any) -> Any:
        """Build the logger; the console gets progress and warnings, the log file everything."""
        logger = super().build_logger(*args, **kwargs)  # type: ignore[misc]
        if not self.cfg.get('verbose', False):
            quieten(logger)
        return logger

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Build the schedule, without warm-ups that are too short for mmengine."""
        schedule = drop_short_warmups(scheduler, len(self.train_dataloader))
        try:
            return super().build_param_scheduler(schedule)  # type: ignore[misc]
        except ValueError as error:
            raise InputError(
                f'param_scheduler cannot be as it is ({error}): mend begin and end, or give '
                '--epochs or --iters, which stretch all of it'
            ) from error

    def train(self) -> Any:
        """Check the files that the config names, lock the work directory, and train."""
        lock = WorkDirLock(self.work_dir) if is_main_process() else None
        try:
            if is_main_process() and not self._continues_here():
                check_unused(self.work_dir)
            preflight(self.cfg, ('train', 'val'))
            with name_unknown_types():
                model = super().train()
            if is_main_process():
                finish(self)
            return model
        finally:
            if lock is not None:
                lock.release()

    def _continues_here(self) -> bool:
        """Whether the run is resumed from a checkpoint of its own work directory."""
        if not self._resume or self._load_from is None:
            return bool(self._resume)
        return Path(self._load_from).resolve().parent == Path(self.work_dir).resolve()

    def test(self) -> Any:
        """Check the files that the config names, and test."""
        self.testing = True
        preflight(self.cfg, ('test',))
        with name_unknown_types():
            return super().test()

    def build_test_loop(self, loop: Any) -> Any:
        """Build the loop, whose data-loading workers end with this process."""
        built = super().build_test_loop(loop)  # type: ignore[misc]
        shield_workers(built.dataloader)
        return built

    def load_or_resume(self) -> None:
        """Load or resume a checkpoint; of several, the latest that is undamaged."""
        if not self._has_loaded and self._resume is True and self._load_from is None:
            self._load_from = find_latest_checkpoint(self.work_dir)
            self._resume = self._load_from is not None
        super().load_or_resume()


@RUNNERS.register_module()
class FaultTolerantRunner(FaultTolerance, Runner):
    """mmengine's ``Runner`` with :class:`FaultTolerance`."""


@RUNNERS.register_module()
class FaultTolerantFlexibleRunner(FaultTolerance, FlexibleRunner):
    """mmengine's ``FlexibleRunner``, for strategies such as FSDP, with :class:`FaultTolerance`."""


def build_runner(cfg: Config) -> Any:
    """Build the runner that a config names, or :class:`FaultTolerantRunner`.

    Args:
        cfg (Config): The config.

    Returns:
        Runner: The runner with its model.

    Raises:
        InputError: If the config cannot be.
    """
    name = cfg.get('runner_type', 'Runner')
    return RUNNERS.get(REPLACEMENTS.get(name, name)).from_cfg(cfg)
