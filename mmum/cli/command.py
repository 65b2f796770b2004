"""Help text, config options and one-sentence errors of all commands."""

import argparse
import atexit
import io
import os
import re
import sys
from collections.abc import Callable
from typing import Any

from mmengine.config import DictAction
from mmengine.dist import is_distributed
from torch.distributed.elastic.multiprocessing.errors import record

from mmum.engine.reliability.preemption import shutdown_process_group
from mmum.errors import input_error_sentence

# Last parts of keys whose values are paths, and stay text whatever is in them.
PATHS = ('_root', '_dir', '_prefix', 'ann_file', 'checkpoint', 'pretrained', 'load_from')

CFG_OPTIONS = '--cfg-options'
PROGRAM = 'MMUM_PROGRAM'  # environment variable: the command that a usage line shows
KEY_VALUE = re.compile(r'[A-Za-z_]\w*(\.\w+)*=')


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
        for pair in others:  # one by one: mmengine does not say which it cannot read
            try:
                super().__call__(parser, namespace, [pair], option_string)
            except (AssertionError, RecursionError):
                parser.error(
                    f'{option_string} cannot read {pair}: values are numbers, text, (a,b) and '
                    '[a,b]; the keys of a dict are set one by one, KEY.NAME=VALUE'
                )
        options = getattr(namespace, self.dest) or {}
        setattr(namespace, self.dest, {**options, **paths})


class CommandParser(argparse.ArgumentParser):
    """``ArgumentParser`` that takes KEY=VALUE words anywhere, as values of ``--cfg-options``."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, after all KEY=VALUE words were gathered behind one ``--cfg-options``."""
        words = sys.argv[1:] if args is None else args
        if CFG_OPTIONS in self._option_string_actions:
            words = self._gather(list(words))
        return super().parse_known_args(words, namespace)

    def _gather(self, words: list[str]) -> list[str]:
        others: list[str] = []
        options: list[str] = []
        listed = wants_value = False  # after --cfg-options; after an option that takes one value
        for word in words:
            if word.startswith('--'):
                listed = word == CFG_OPTIONS
                action = self._option_string_actions.get(word)
                wants_value = action is not None and action.nargs is None and not listed
                if not listed:
                    others.append(word)
                continue
            bare = KEY_VALUE.match(word) and not wants_value and not os.path.exists(word)
            (options if listed or bare else others).append(word)
            wants_value = False
        end = others.index('--') if '--' in others else len(others)  # positional ones follow
        return [*others[:end], *([CFG_OPTIONS, *options] if options else []), *others[end:]]


def argument_parser(doc: str | None) -> argparse.ArgumentParser:
    """Make an argument parser whose help shows the docstring of a command as it is written."""
    return CommandParser(
        # runpy, which runs the tools, puts the path of a file in place of the command
        prog=os.environ.pop(PROGRAM, None),
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, which KEY=VALUE words anywhere belong to."""
    parser.add_argument(
        CFG_OPTIONS,
        nargs='+',
        action=OptionAction,
        metavar='KEY=VALUE',
        help='override settings of the config, top-level variables such as data_root and '
        'pretrained too; KEY=VALUE alone will do',
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
    is_rank = 'TORCHELASTIC_RUN_ID' in os.environ
    if is_rank:
        main = record(main)  # torchrun shows the traceback of the rank that failed first
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may be no UTF-8
            stream.reconfigure(errors='backslashreplace')
    code: str | int | None = 0
    try:
        main()
        shutdown_process_group()
    except BrokenPipeError:  # the reader has seen enough, as with | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except SystemExit as error:
        code = error.code
    except Exception as error:
        sentence = input_error_sentence(error)
        if sentence is None:
            raise
        print(f'error: {sentence}', file=sys.stderr)
        code = 2
    if is_rank or is_distributed():
        _leave(code)
    if code:
        sys.exit(code)


def _leave(code: str | int | None) -> None:
    """End a rank whose work is done, without taking Python down.

    There, threads that still communicate abort the process now and then, and torchrun would report
    a complete run as failed.
    """
    if isinstance(code, str):
        print(code, file=sys.stderr)
    atexit._run_exitfuncs()  # of loggers that upload
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
