"""A training among faults, against the same training in peace."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from benchmarks import ROOT
from benchmarks.report import caption_of
from benchmarks.stages import logged
from mmum.datasets.mini import write_mini
from mmum.engine.reliability.preemption import EXIT_PREEMPTED
from mmum.errors import InputError

CONFIG = """
_base_ = '{base}'
data_root = '{data}'
train_dataloader = dict(batch_size=16, dataset=dict(data_root=data_root))
train_cfg = dict(max_epochs=100000)
log_processor = dict(window_size=1)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1, max_keep_ckpts=3))
custom_hooks = []
{more}
"""
IMAGES = 256
DAMAGED = (17, 170)  # from the start: they are replaced by the same draws, however they are damaged
START = 120  # seconds for a training to make its first step


class Soak:
    """Train on the mini data set twice: in peace for a third of the time, then with faults at
    random moments.

    The faults: the training or a data-loading worker killed, SIGTERM, a disk on which nothing can
    be written for some seconds (the process may write no file any longer), damaged images that
    become damaged in another way.

    Args:
        work_dir (str | Path): For data, trainings and logs; must be new.
        minutes (float): In all.
        seed (int): Of the moments and kinds.
        report (Callable): Gets lines of progress.
        more (str): Lines at the end of the config. Defaults to ''.

    Raises:
        InputError: If the work directory is not new.
    """

    def __init__(self, work_dir, minutes, seed, report, more=''):
        self.work_dir, self.seconds, self.report = Path(work_dir).resolve(), 60 * minutes, report
        if self.work_dir.exists() and any(self.work_dir.iterdir()):
            raise InputError(
                f'{work_dir} exists and is not empty: give another --work-dir, or remove it first'
            )
        self.random = random.Random(seed)
        self.process, self.faults = None, dict(kill=0, terminate=0, worker=0, disk=0, image=0)
        data = self.work_dir / 'data'
        write_mini(data, unlabelled=IMAGES, train=1, val=1)
        self.damaged = [data / 'unlabelled' / f'{number:06d}.jpg' for number in DAMAGED]
        self.image()
        self.config = self.work_dir / 'soak.py'
        base = ROOT / 'configs' / 'selfsup' / 'um_mae_swin_nano_mini.py'
        self.config.write_text(CONFIG.format(base=base, data=data / 'unlabelled', more=more))

    def run(self):
        """Both trainings.

        Returns:
            dict: What was found; ``equal`` says whether the curves are.
        """
        peace, faulty, begin = self.work_dir / 'peace', self.work_dir / 'faults', time.time()
        self.start(peace)
        self.wait_until(begin + self.seconds / 3)
        self.stop()
        target = max(curve(peace))
        self.report(f'in peace: {target} steps; now with faults')
        self.faults = dict.fromkeys(self.faults, 0)
        kinds = list(self.faults)
        self.random.shuffle(kinds)
        plan = itertools.chain(kinds, iter(lambda: self.random.choice(kinds), None))
        starts, end = 0, begin + self.seconds
        # one fault after the other, each after some seconds of training
        while time.time() < end and max(curve(faulty), default=0) < target:
            if self.process is None:
                self.start(faulty)
                starts += 1
            if self.wait_until(min(end, time.time() + self.random.uniform(1, 10))):
                kind = next(plan)
                self.faults[kind] += 1
                getattr(self, kind)()
                self.report(
                    f'{time.time() - begin:.0f} s: {kind}, step {max(curve(faulty), default=0)} of '
                    f'{target}'
                )
        self.stop()
        return self.compare(curve(peace), curve(faulty), starts)

    def compare(self, peace, faulty, starts):
        common = sorted(peace.keys() & faulty.keys())
        different = [step for step in common if set(peace[step]) != set(faulty[step])]
        different += [
            step
            for step, losses in faulty.items()
            if len(set(losses)) > 1 and step not in different
        ]
        return dict(
            minutes=self.seconds / 60,
            faults=self.faults,
            starts=starts,
            steps_in_peace=len(peace),
            steps_compared=len(common),
            last_step_compared=max(common, default=0),
            steps_repeated=sum(len(losses) - 1 for losses in faulty.values()),
            different=different[:10],
            equal=bool(common) and not different,
        )

    def start(self, work_dir):
        """Starts or resumes a training, and waits for its first step."""
        log = open(self.work_dir / f'{work_dir.name}.log', 'a')
        before = time.time()
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(ROOT / 'tools' / 'train.py'),
                str(self.config),
                '--work-dir',
                str(work_dir),
                '--resume',
            ],
            stdout=log,
            stderr=log,
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
            cwd=ROOT,
        )
        while not any(
            path.stat().st_mtime > before for path in work_dir.glob('*/vis_data/scalars.json')
        ):
            if self.process.poll() is not None or time.time() > before + START:
                self.process.kill()
                raise InputError(f'the training did not begin: see {log.name}')
            time.sleep(0.2)

    def wait_until(self, moment):
        """Waits: whether the training still runs then."""
        while time.time() < moment and self.process.poll() is None:
            time.sleep(0.1)
        if self.process.poll() is not None:
            raise InputError(
                f'the training ended by itself with exit code {self.process.returncode}: see the '
                f'log in {self.work_dir}'
            )
        return True

    def stop(self):
        if self.process is not None:
            self.terminate()

    # ------------------------------------------------------------------ faults

    def terminate(self):
        """SIGTERM, to workers too, as slurm and torchrun send it: a checkpoint, and the exit code
        that says so."""
        for worker in psutil.Process(self.process.pid).children(recursive=True):
            worker.terminate()
        self.process.terminate()
        if self.process.wait(60) != EXIT_PREEMPTED:
            raise InputError(
                f'after SIGTERM the exit code was {self.process.returncode} and not '
                f'{EXIT_PREEMPTED}: see the log in {self.work_dir}'
            )
        self.process = None

    def kill(self):
        """SIGKILL of the training; its workers notice by themselves."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def worker(self):
        """SIGKILL of a data-loading worker: the training ends with an error."""
        workers = psutil.Process(self.process.pid).children()
        if workers:
            self.random.choice(workers).send_signal(signal.SIGKILL)
            self.process.wait(60)
            self.process = None

    def disk(self):
        """No file can grow for some seconds, which the training survives."""
        process = psutil.Process(self.process.pid)
        if hasattr(process, 'rlimit'):  # on Linux
            _, most = process.rlimit(psutil.RLIMIT_FSIZE)
            process.rlimit(psutil.RLIMIT_FSIZE, (1, most))
            self.wait_until(time.time() + self.random.uniform(3, 8))
            process.rlimit(psutil.RLIMIT_FSIZE, (most, most))

    def image(self):
        """Damaged images become damaged in another way."""
        whole = (self.damaged[0].parent / '000000.jpg').read_bytes()
        for path in self.damaged:
            path.write_bytes(
                self.random.choice(
                    [
                        b'',
                        b'no image at all',
                        whole[:2],
                        whole[: self.random.randrange(200, len(whole) // 2)],
                        whole[2:],
                    ]
                )
            )


def curve(work_dir):
    """The losses of every step, as often as it was made: dict of step -> list."""
    found = {}
    for values in logged(work_dir):
        if 'loss' in values:
            found.setdefault(values['step'], []).append(values['loss'])
    return found


def table(result):
    """The result as Markdown."""
    outcome = 'all equal'
    if not result['equal']:
        outcome = f'different, first {result["different"][:3]}'
    faults = ', '.join(f'{number} x {kind}' for kind, number in result['faults'].items())
    return (
        f'{caption_of(result)} {result["minutes"]:g} minutes: {faults}; {result["starts"]} starts. '
        f'{result["steps_in_peace"]} steps in peace; {result["steps_compared"]} of them compared, '
        f'up to step {result["last_step_compared"]}: {outcome}.\n'
    )
