"""Help text, config options and one-sentence errors of all commands."""

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from mmengine.config import DictAction
from torch.distributed.elastic.multiprocessing.errors import record

from mmum.engine.reliability.preemption import shutdown_process_group
from mmum.errors import input_error_sentence

# Last parts of keys whose values are paths, and stay text whatever is in them.
PATHS = ('_root', '_dir', '_prefix', 'ann_file', 'checkpoint', 'pretrained', 'load_from')


class OptionAction(DictAction):
    """mmengine's ``DictAction``, which takes the values of paths as they are.

    ``DictAction`` makes a list of ``a,b``, a number of ``2023``, and drops blanks.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        paths = {}
        others = []
        for pair in values or ():
            key, separator, value = pair.partition('=')
            if not separator:
                parser.error(f'{option_string} takes KEY=VALUE, and got {pair}')
            if key.endswith(PATHS) and value != 'None' and not value.startswith(('[', '{')):
                paths[key] = value
            else:
                others.append(pair)
        super().__call__(parser, namespace, others, option_string)
        options = getattr(namespace, self.dest) or {}
        setattr(namespace, self.dest, {**options, **paths})


def argument_parser(doc: str | None) -> argparse.ArgumentParser:
    """Make an argument parser whose help shows the docstring of a tool as it is written."""
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionAction,
        metavar='KEY=VALUE',
        help='override settings of the config, top-level variables such as data_root and '
        'pretrained too',
    )


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add ``--launcher`` and the rank that launchers pass."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher (default: none)',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by the launcher'
    )


def run_command(main: Callable[[], None]) -> None:
    """Run the main function of a tool.

    Bad input ends it with one sentence on stderr and exit code 2.

    Args:
        main (Callable): The function.
    """
    if 'TORCHELASTIC_RUN_ID' in os.environ:
        # A rank: torchrun shows the traceback of the one that failed first.
        main = record(main)
    try:
        main()
        shutdown_process_group()
    except Exception as error:
        sentence = input_error_sentence(error)
        if sentence is None:
            raise
        print(f'error: {sentence}', file=sys.stderr)
        sys.exit(2)
