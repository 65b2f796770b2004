"""The same global batch on more ranks: seconds per step, efficiency, memory a rank, and the losses,
which should not change."""

import json
import os
import socket
import subprocess
import sys
import time

import torch
from mmengine.dist import init_dist

from benchmarks.compare import batch, build
from benchmarks.report import caption_of, markdown_table, peak_rss_mb
from mmum.errors import InputError
from mmum.workers import usable_cores

STRATEGIES = dict(
    ddp='DDP: weights, gradients and moments on every rank',
    zero1='ZeRO-1: moments sharded (ZeroRedundancyOptimizer)',
    fsdp='FSDP: all sharded',
)


def measure(ranks, strategies, size, n, steps, report):
    """Run every strategy on every number of ranks in processes of its own.

    Returns:
        dict: ``runs``: for each the strategy, ranks, seconds per step, MB per rank, losses.
    """
    cores = torch.cuda.device_count() or usable_cores()
    if max(ranks) > cores:
        raise InputError(
            f'--ranks {max(ranks)}: this machine has {cores} '
            f'{"GPUs" if torch.cuda.is_available() else "cores"}, '
            'and ranks that share one measure nothing'
        )
    wrong = [r for r in ranks if n % r]
    if wrong:
        raise InputError(f'--batch {n} cannot be shared among {wrong[0]} ranks: give a multiple')
    runs = []
    for strategy in strategies:
        for world in ranks:
            report(f'{strategy} on {world} rank{"s" * (world > 1)}')
            runs.append(
                dict(strategy=strategy, ranks=world, **_launch(strategy, world, size, n, steps))
            )
    for run in runs:
        one = next((r for r in runs if r['strategy'] == run['strategy'] and r['ranks'] == 1), None)
        run['efficiency'] = one and one['seconds'] / run['seconds'] / run['ranks']
    return dict(settings=dict(size=size, batch=n, steps=steps), runs=runs)


def _launch(strategy, world, size, n, steps):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    threads = max(1, usable_cores() // world)
    processes = []
    for rank in range(world):
        # every rank its share of the cores, also when alone: so that ranks are what is compared
        env = {
            **os.environ,
            'PYTHONPATH': os.pathsep.join(sys.path),
            'RANK': str(rank),
            'LOCAL_RANK': str(rank),
            'WORLD_SIZE': str(world),
            'MASTER_ADDR': '127.0.0.1',
            'MASTER_PORT': str(port),
            'OMP_NUM_THREADS': '1' if not torch.cuda.is_available() else str(threads),
        }
        code = (
            'from benchmarks.scaling import run_rank; '
            f'run_rank({strategy!r}, {size!r}, {n}, {steps})'
        )
        processes.append(
            subprocess.Popen(
                [sys.executable, '-c', code],
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    outputs = [process.communicate() for process in processes]
    found = [
        json.loads(line[5:])
        for out, _ in outputs
        for line in out.splitlines()
        if line.startswith('RANK ')
    ]
    if len(found) != world:
        last = next(
            (err.strip().splitlines()[-1] for _, err in outputs if err.strip()), 'no message'
        )
        raise InputError(
            f'{strategy} on {world} ranks of batch {n // world} did not finish: {last}'
        )
    return dict(
        seconds=max(f['seconds'] for f in found),
        mb_per_rank=max(f['mb'] for f in found),
        losses=[sum(step) / world for step in zip(*(f['losses'] for f in found))],
    )


def run_rank(strategy, size, n, steps):
    """Train one rank: images and weights do not depend on the number of ranks."""
    import mmum  # noqa: F401

    cuda = torch.cuda.is_available()
    if cuda:
        init_dist('pytorch')
    else:
        torch.distributed.init_process_group('gloo')
    rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    device = f'cuda:{rank}' if cuda else 'cpu'
    model = build('um_mae', size, device)
    images, samples = batch('um_mae', n, 256, device)
    # masks come from numpy's global randomness: the same on all ranks, which take their share of
    # one batch
    share = slice(rank * n // world, (rank + 1) * n // world)
    images, samples = images[share], samples[share]
    if strategy == 'fsdp':
        from torch.distributed.fsdp import FullyShardedDataParallel
        from torch.distributed.fsdp.wrap import ModuleWrapPolicy

        from mmum.models.layers import TransformerBlock
        from mmum.models.um_swin import SwinBlock

        model = FullyShardedDataParallel(
            model,
            auto_wrap_policy=ModuleWrapPolicy({SwinBlock, TransformerBlock}),
            device_id=torch.device(device),
            use_orig_params=True,
        )
    else:
        model = torch.nn.parallel.DistributedDataParallel(model)
    if strategy == 'zero1':
        from torch.distributed.optim import ZeroRedundancyOptimizer

        optimizer = ZeroRedundancyOptimizer(model.parameters(), torch.optim.AdamW, lr=1e-3)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    seconds, losses = [], []
    for _ in range(steps + 1):
        start = time.perf_counter()
        loss = sum(model(images, samples, mode='loss').values())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    mb = torch.cuda.max_memory_allocated() / 1e6 if cuda else peak_rss_mb()
    print('RANK ' + json.dumps(dict(seconds=min(seconds[1:]), mb=mb, losses=losses)), flush=True)
    torch.distributed.destroy_process_group()


def table(result):
    """The result as Markdown."""
    settings = result['settings']
    rows = [
        [
            STRATEGIES[r['strategy']],
            r['ranks'],
            f'{settings["batch"] / r["seconds"]:.1f}',
            '-' if r['efficiency'] is None else f'{100 * r["efficiency"]:.0f} %',
            f'{r["mb_per_rank"]:.0f}',
            f'{r["losses"][0]:.6f}',
            f'{r["losses"][-1]:.6f}',
        ]
        for r in result['runs']
    ]
    caption = (
        f'UM-MAE Swin-{settings["size"]}, 256 px, global batch {settings["batch"]}, float32. '
        f'{caption_of(result)} Efficiency: speed over ranks times that of one; on a CPU every '
        "rank has one core. Memory: peak of the rank's process on a CPU, of the allocator on a "
        f'GPU. Losses: of step 1 and step {settings["steps"] + 1}, mean over ranks.'
    )
    head = ['strategy', 'ranks', 'images/s', 'efficiency', 'MB per rank', 'first loss', 'last loss']
    return markdown_table(head, rows, caption)
