"""The trainings that a study consists of: each made once, several at a time, resumable."""

import argparse
import json
import os
import statistics
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope

from benchmarks import CONFIGS, ROOT
from benchmarks.outcomes import read_known, read_log, summary, weights_of
from benchmarks.report import made_here
from benchmarks.settings import digest_of
from benchmarks.stages import end_stages, forwarded_sigterm, run_stage
from mmum.cli.command import add_config_options
from mmum.engine.config import load_config
from mmum.engine.console import quieten
from mmum.errors import InputError
from mmum.files import atomic_write
from mmum.workers import usable_cores

TRAIN, TEST = 'tools/train.py', 'tools/test.py'


@dataclass(frozen=True)
class Run:
    """A training, or a test: a command of the project in a folder of its own.

    Attributes:
        folder (str): Name of its work directory, one for every run.
        title (str): In words, for lines of progress; no part of what it is.
        config (str): Its config, from ``configs/``.
        options (tuple[str, ...]): ``--cfg-options``. Defaults to ().
        arguments (tuple[str, ...]): Further arguments of the tool. Defaults to ().
        start (Run, optional): The pre-training that its backbone comes from. Defaults to None.
        tool (str): ``TRAIN``, or ``TEST``, which tests the weights of the start as they are.
            Defaults to ``TRAIN``.
    """

    folder: str
    title: str = field(compare=False)
    config: str
    options: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    start: 'Run | None' = None
    tool: str = TRAIN

    @property
    def command(self):
        """Words that identify it, those of its start included."""
        start = ['from', *self.start.command] if self.start else []
        return [Path(self.config).name, *self.arguments, *self.options, *start]

    @property
    def kinds(self):
        """Runs that take about as long have the same, the closest kind first."""
        return (self.tool, self.config, *self.arguments), (self.tool,)

    @property
    def trains(self):
        """Whether it is a training."""
        return self.tool == TRAIN

    @property
    def pretrains(self):
        """Whether it is a pre-training without labels."""
        return self.config.startswith('selfsup/')

    def all_starts(self):
        """The runs that it needs, the first one first."""
        return [*self.start.all_starts(), self.start] if self.start else []


class Runs:
    """Makes runs, several at a time, and knows those that are made.

    Finished runs are kept and interrupted ones resume (``--resume``), so the same call resumes a
    study.

    Args:
        work_dir (str | Path): For the runs and their logs.
        jobs (int): Runs at a time, which share the cores.
        report (Callable): Gets lines of progress.
        known (Sequence[str | Path]): Result files of other studies, maybe of other machines: a run
            that one of them records is not made again. Defaults to (): none.

    Attributes:
        record (dict): By the folder of every run: its ``command``, ``made`` (hardware, date,
            versions), and what was found.

    Raises:
        InputError: If a file of ``known`` records no runs.
    """

    def __init__(self, work_dir, jobs, report, known=()):
        self.work_dir, self.jobs, self.report = Path(work_dir), jobs, report
        self.record = {}
        self.known = {
            folder: (found, path) for path in known for folder, found in read_known(path).items()
        }

    def make(self, runs):
        """Make runs, and the pre-trainings that they start from.

        A run begins when its own pre-training is done.

        Args:
            runs (Sequence[Run]): In the order in which they begin.

        Returns:
            dict[Run, dict]: Of every run ``seconds`` and, of a training, ``step_seconds``, the
            median of a step; ``loss`` and ``curve`` of a pre-training, ``ap`` of all others.

        Raises:
            InputError: If one of that name has other settings, before any is made; if runs fail.
                Then those that start from them are not made; the others are, unless none has
                worked yet.
        """
        starts = [start for run in runs for start in run.all_starts()]
        every = list(dict.fromkeys([*starts, *runs]))
        missing = self._missing(every)
        found, begin, digest_once = {}, time.time(), cache(digest_of)

        def tell(run, words):
            spent = (time.time() - begin) / 60
            left = seconds_of(missing - found.keys(), found) / self.jobs / 60
            self.report(
                f'[{len(found)}/{len(every)}] {spent:.0f} min, about {left:.0f} left: '
                f'{run.title}: {words}'
            )

        for run in every:
            if run not in missing:
                found[run], where = self._kept(run, digest_once(CONFIGS / run.config))
                tell(run, where)
        failed = self._make_all([run for run in every if run in missing], found, tell)
        if len(failed) > 1:
            titles = ', '.join(run.title for run in failed)
            raise InputError(
                f'{len(failed)} of {len(every)} runs failed, as said above: {titles}. The same '
                'command makes them again, and keeps the others'
            )
        for error in failed.values():
            raise error
        self.record |= {run.folder: dict(found[run], command=list(run.command)) for run in every}
        return found

    def _make_all(self, waiting, found, tell):
        """Make runs, several at a time, into ``found``: the errors of those that failed."""
        going, failed, worked = {}, {}, False
        # runs share the cores, unless the environment says how many threads each has
        share = max(1, usable_cores() // self.jobs)
        threads = os.environ.get('OMP_NUM_THREADS', str(share))
        with forwarded_sigterm(), ThreadPoolExecutor(self.jobs) as pool:
            try:
                while waiting or going:
                    ready = [run for run in waiting if run.start is None or run.start in found]
                    for run in ready[: self.jobs - len(going)]:
                        waiting.remove(run)
                        digest = digest_of(CONFIGS / run.config)
                        going[pool.submit(self._make, run, threads, digest)] = run
                    done, _ = wait(going, return_when=FIRST_COMPLETED)
                    for future in done:
                        run = going.pop(future)
                        try:
                            found[run], worked = future.result(), True
                        except InputError as error:
                            if not worked and (failed or not found):
                                raise  # what is wrong with all is not tried with all
                            failed[run] = error
                            waiting = [one for one in waiting if run not in one.all_starts()]
                            if waiting or going:
                                self.report(f'{error}. The other runs go on')
                        else:
                            tell(run, summary(found[run]))
            except BaseException as error:
                pool.shutdown(wait=False, cancel_futures=True)
                if isinstance(error, Exception):  # of a signal they know
                    end_stages()
                raise
        return failed

    def _missing(self, runs):
        """Those that have to be made, because their results are missing, or the weights that
        another one of them starts from."""
        missing = set()

        def look(run, weights):
            here = self._result(run).exists()
            if here and weights:
                weights_of(self.work_dir, run)  # before hours are spent
            found = here or run.folder in self.known and not weights
            if not found:
                missing.add(run)
            if run.start:
                look(run.start, weights=not found)

        for run in runs:
            look(run, weights=False)
        return missing

    def _result(self, run):
        return self.work_dir / run.folder / 'result.json'

    def _kept(self, run, digest):
        """A run that is finished: what is known of it, and where. Its config has this digest."""
        here = self._result(run).exists()
        folder = self.work_dir / run.folder
        known, path = (
            (json.loads(self._result(run).read_text()), folder) if here else self.known[run.folder]
        )
        known = dict(known)
        remedy = 'remove it, or give another folder' if here else 'leave the file out'
        if known.pop('command') != list(run.command):
            raise InputError(f'{path} holds a run with other settings ({run.folder}): {remedy}')
        if known.get('digest', digest) != digest:  # older results have none
            raise InputError(
                f'{path} holds a run from before configs/{run.config} was changed ({run.folder}): '
                f'{remedy}'
            )
        return known, 'was there' if here else f'in {path}'

    def _make(self, run, threads, digest):
        """Make one run: what was found."""
        folder = self.work_dir / run.folder
        options, weights = list(run.options), run.start and weights_of(self.work_dir, run.start)
        if run.tool == TEST:
            arguments = [weights or write_untrained(CONFIGS / run.config, run.options, folder)]
        else:
            arguments = ['--amp', '--resume']
            if run.start or not run.pretrains:
                options.append(f'pretrained={weights}')
        seconds, _ = run_stage(
            run.title,
            self.work_dir / f'{run.folder}.log',
            ROOT / run.tool,
            CONFIGS / run.config,
            *arguments,
            '--work-dir',
            folder,
            *run.arguments,
            '--cfg-options',
            *options,
            report=self.report,
            OMP_NUM_THREADS=threads,
        )
        found = dict(read_log(run, folder), seconds=seconds, made=made_here(), digest=digest)
        content = json.dumps(dict(found, command=list(run.command)))
        atomic_write(self._result(run), content.encode())
        return found


def seconds_of(runs, found):
    """Estimate how long runs take, one after the other.

    Args:
        runs (Iterable[Run]): The runs.
        found (dict[Run, dict]): What is known of others: ``seconds``, unless a file that records
            them does not say.

    Returns:
        float: The sum over the runs of the mean of those of the same config and length, or else of
        the same tool. A run of a tool that none is known of counts nothing.
    """
    known = {}
    for run, values in found.items():
        for kind in run.kinds if 'seconds' in values else ():
            known.setdefault(kind, []).append(values['seconds'])
    guesses = [next((known[kind] for kind in run.kinds if kind in known), [0]) for run in runs]
    return sum(map(statistics.fmean, guesses))


def write_untrained(config, options, folder):
    """Write the weights that a training of a config would start from."""
    parser = argparse.ArgumentParser()
    add_config_options(parser)
    cfg = load_config(str(config), parser.parse_args(['--cfg-options', *options]).cfg_options)
    torch.manual_seed(int(cfg.randomness.seed))
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    quieten(MMLogger.get_current_instance())  # of two lines for every parameter
    model.init_weights()
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=model.state_dict()), folder / 'untrained.pth')
    return folder / 'untrained.pth'
