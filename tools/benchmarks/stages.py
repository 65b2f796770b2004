"""Run commands of the project as stages of a larger work, with a log and a line of progress."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from benchmarks import ROOT
from mmum.errors import InputError

running = set()  # processes of stages, maybe of several threads


def end_stages():
    """End the stages that are running: a training saves a checkpoint, from which ``--resume`` goes
    on."""
    for process in list(running):
        process.terminate()


@contextmanager
def forwarded_sigterm():
    """Let SIGTERM end the stages that are running too, as Ctrl-C does."""

    def stop(number, frame):
        end_stages()
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_stage(name, log, *command, report=None, **env):
    """Run one command of the project.

    Args:
        name (str): Of the stage, for errors.
        log (str | Path): Gets all of its output; more is added at the end.
        *command: The tool and its arguments.
        report (Callable, optional): Gets a line of progress every 20 seconds. Defaults to None.
        **env: Environment variables.

    Returns:
        tuple[float, str]: The seconds it took, and its output.

    Raises:
        InputError: If it fails.
    """
    log = Path(log)
    log.parent.mkdir(parents=True, exist_ok=True)
    start, lines, shown = time.time(), [], 0.0
    with (
        open(log, 'a', buffering=1) as file,
        subprocess.Popen(  # by line: who looks in sees where it is
            [sys.executable, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, 'PYTHONUNBUFFERED': '1', **env},
        ) as process,
    ):
        running.add(process)
        for line in process.stdout:
            file.write(line)
            lines.append(line)
            progress = report and re.search(r'(?:Epoch|Iter)\((train|test|val)\).*', line)
            if progress and time.time() - shown > 20:
                shown = time.time()
                parts = re.findall(
                    r'\[\d+\]\[ *\d+/\d+\]|\[ *\d+/\d+\]|eta: \S+|(?<= )loss: \S+', progress[0]
                )
                report(f'  {time.time() - start:4.0f} s  {name}: {progress[1]} {"  ".join(parts)}')
    running.discard(process)
    if process.returncode:
        print(''.join(lines[-15:]), file=sys.stderr)
        raise InputError(
            f'the stage "{name}" stopped with exit code {process.returncode}: its last lines are '
            f'above, all of them in {log}'
        )
    return time.time() - start, ''.join(lines)


def logged(work_dir):
    """Read what the runs in a work directory logged, tests included: a dict per line, but for one
    that a kill cut off."""
    folder = Path(work_dir)
    for path in sorted([*folder.glob('*/vis_data/scalars.json'), *folder.glob('2*/2*.json')]):
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                pass


def last_loss(work_dir):
    """The last loss that a run logged."""
    return [values['loss'] for values in logged(work_dir) if 'loss' in values][-1]


def ensure_data(name, data, log, report):
    """Write a data set that is drawn, unless it is there.

    Args:
        name (str): Of ``tools/prepare_data.py``: mini, mini-classes or drawn-nuclei.
        data (str | Path): Its folder.
        log (str | Path): Log of the stage.
        report (Callable): Gets a line of progress.
    """
    if not Path(data, 'val').exists():
        report(f'writing {name} to {data}')
        run_stage('data', log, ROOT / 'tools' / 'prepare_data.py', name, '--out', data)
