"""Keep the console short: progress, warnings and what mmum says; the log file has everything."""

import logging
import re
import sys
from datetime import timedelta
from typing import Any

from mmengine.dist import get_world_size
from mmengine.registry import LOG_PROCESSORS
from mmengine.runner import LogProcessor

# Modules whose messages appear on the console, beside all warnings.
SPEAKERS = (
    'mmum.',
    'mmengine.hooks.logger_hook',
    'mmengine.hooks.checkpoint_hook',
    'mmseg.evaluation.metrics.iou_metric',  # IoU of every class
    'benchmarks.',
)

# What mmengine says in every run, and nobody can do anything about.
NOISE = ('Exp name: ', '"FileClient" will be', '"HardDiskBackend" is', 'Failed to search registry')
# What mmengine says and a user wants to know.
NEWS = ('resumed epoch', 'LR is set based on')
# Scalars that a line of progress shows in a form of its own.
SHOWN = ('loss', 'time', 'data_time', 'images_per_s', 'data_share', 'mfu')


class ConsoleFilter(logging.Filter):
    """Let warnings pass, and messages of mmum and of the hooks that report progress."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a message goes to the console."""
        if str(record.msg).startswith(NOISE):
            return False
        if record.levelno >= logging.WARNING or str(record.msg).startswith(NEWS):
            return True
        return self._speaker().startswith(SPEAKERS)

    @staticmethod
    def _speaker() -> str:
        """Module that logs: the first outside of the logging code itself."""
        frame = sys._getframe(1)
        while frame.f_back is not None:
            name = frame.f_globals.get('__name__', '')
            if name != __name__ and not name.startswith(('logging', 'mmengine.logging')):
                return name
            frame = frame.f_back
        return ''


def quieten(logger: logging.Logger) -> None:
    """Add :class:`ConsoleFilter` to the handlers of a logger that write to a stream."""
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            if not any(isinstance(f, ConsoleFilter) for f in handler.filters):
                handler.addFilter(ConsoleFilter())


@LOG_PROCESSORS.register_module()
class ProgressLogProcessor(LogProcessor):
    """mmengine's ``LogProcessor`` with images/s and the share of time that waits for data.

    They go to the console, the log and every visualisation backend, as ``images_per_s`` (images of
    all ranks) and ``data_share`` (0 to 1); after :class:`~mmum.engine.UtilisationHook` also
    ``mfu``, the share of the hardware's matrix speed.

    Args:
        **kwargs: Arguments of mmengine's ``LogProcessor``.
    """

    def get_log_after_iter(
        self, runner: Any, batch_idx: int, mode: str
    ) -> tuple[dict[str, Any], str]:
        """Format a line of progress.

        Returns:
            tuple[dict, str]: The scalars, and the line.
        """
        tag, line = super().get_log_after_iter(runner, batch_idx, mode)
        place = re.match(r'.*?\d+/\d+\]', line)
        if mode != 'train' or not tag.get('time') or place is None:
            return tag, line
        loader = runner.cfg.train_dataloader
        images = loader.get('batch_size') or loader.batch_sampler.get('batch_size', 1)
        tag['images_per_s'] = images * get_world_size() / tag['time']
        tag['data_share'] = min(tag.get('data_time', 0.0) / tag['time'], 1.0)
        eta = timedelta(seconds=int(runner.message_hub.get_info('eta', 0)))
        parts = [
            f'loss: {tag.get("loss", float("nan")):.4f}',
            f'lr: {tag.get("lr", 0.0):.2e}',
            f'{tag["images_per_s"]:.4g} images/s',
            f'data: {tag["data_share"]:.0%}',
            f'eta: {eta}',
        ]
        if hasattr(runner, 'flop_rate'):
            flop, speed = runner.flop_rate
            tag['mfu'] = flop / tag['time'] / speed
            parts.append(f'mfu: {tag["mfu"]:.0%}')
        if 'memory' in tag:
            parts.append(f'memory: {tag["memory"]} MB')
        parts += [
            f'{key}: {value:.4f}'
            for key, value in tag.items()
            if isinstance(value, float) and key not in SHOWN and not key.endswith('lr')
        ]
        return tag, '  '.join([place[0], *parts])
