"""Pre-training methods on equal terms: the same images and sizes, interleaved in one run."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS, TRANSFORMS
from mmpretrain.structures import DataSample

from benchmarks import CONFIGS
from benchmarks.cost import training_cost
from benchmarks.reference import PlainUMMAE
from benchmarks.report import caption_of, markdown_table, peak_rss_mb
from mmum.engine.scale.precision import cpu_has_bfloat16
from mmum.errors import InputError

SIZES = dict(
    T=('tiny', 96, 2), S=('small', 96, 2), B=('base', 128, 2), L=('large', 192, 8)
)  # arch, channels, decoder depth
METHODS = dict(
    um_mae='UM-MAE',
    um_cross_mae='UM-MAE, cross-attention decoder',
    reference='UM-MAE, plain reference',
    simmim='SimMIM, same backbone class (window 16)',
    simmim_mmpretrain="mmpretrain's SimMIM (window 8)",
    um_mae_two_stages='UM-MAE, decoder of two stages',
    um_mae_local='UM-MAE, local decoder of two stages',
)
USUAL = list(METHODS)[:5]  # compared where no --methods are given
CONFIG_OF = dict(
    um_mae='um_mae_swin_t',
    um_cross_mae='um_cross_mae_swin_t',
    reference='um_mae_swin_t',
    simmim='simmim_um_swin_t',
    simmim_mmpretrain='simmim_swin_t',
    um_mae_two_stages='um_mae_swin_t_two_stages',
    um_mae_local='um_mae_swin_t_local',
)
MAX_COUNTED = 8  # images


def build(method, size, device):
    """A method's model at a size of Swin, in training mode, with initialised weights."""
    init_default_scope('mmpretrain')
    # else every initialised parameter is listed
    MMLogger.get_instance('benchmark', log_level='WARNING')
    cfg = Config.fromfile(CONFIGS / 'selfsup' / f'{CONFIG_OF[method]}.py')
    arch, channels, depth = SIZES[size]
    cfg.model.backbone.arch = arch
    stages = cfg.model.neck.get('stages') or (3,)
    in_channels = [channels * 2**stage for stage in stages]
    cfg.model.neck.in_channels = in_channels if len(stages) > 1 else in_channels[0]
    if cfg.model.type == 'UMMAE':
        cfg.model.neck.depth = depth
    if cfg.model.backbone.type == 'UMSwin' and size == 'L':
        cfg.model.backbone.pos_mlp_dims = 64
    torch.manual_seed(0)
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})
    model.init_weights()
    if method == 'reference':
        model = PlainUMMAE(model)
    return model.to(device).train()


def batch(method, n, image_size, device):
    """Random images, and masks of the method's own transform."""
    cfg = Config.fromfile(CONFIGS / 'selfsup' / f'{CONFIG_OF[method]}.py')
    mask = dict(next(t for t in cfg.train_pipeline if 'Mask' in t.type))
    np.random.seed(0)
    transform = TRANSFORMS.build({**mask, 'input_size': image_size})
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(n, 3, image_size, image_size, generator=generator).to(device)
    samples = [
        DataSample().set_mask(torch.as_tensor(transform.transform({})['mask']).to(device))
        for _ in range(n)
    ]
    return images, samples


class Trainer:
    """Training steps of one method."""

    def __init__(self, method, size, n, image_size, dtype, device):
        self.model, self.device = build(method, size, device), device
        self.inputs, self.samples = batch(method, n, image_size, device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-4, fused=True)
        self.autocast = torch.autocast(device, getattr(torch, dtype), enabled=dtype != 'float32')

    def step(self):
        """Forward, backward, optimiser: seconds."""
        self._wait()
        start = time.perf_counter()
        with self.autocast:
            losses = self.model(self.inputs, self.samples, mode='loss')
        sum(losses.values()).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._wait()
        return time.perf_counter() - start

    def _wait(self):
        if self.device == 'cuda':
            torch.cuda.synchronize()


def peak_memory(trainer_class, *arguments):
    """Peak while a trainer is built and takes two steps, in MB: of the CUDA allocator, less what it
    held before, or on a CPU of this process."""
    before = 0
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    trainer = trainer_class(*arguments)
    for _ in range(2):
        trainer.step()
    if trainer.device == 'cuda':
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    return peak_rss_mb()


def peak_memory_of(trainer_class, *arguments):
    """:func:`peak_memory` of a class of a module, on a CPU in a fresh process.

    Raises:
        InputError: If the process does not finish.
    """
    if torch.cuda.is_available():
        return peak_memory(trainer_class, *arguments)
    name = trainer_class.__name__
    code = (
        'import mmum; from benchmarks.compare import peak_memory; '
        f'from {trainer_class.__module__} import {name}; '
        f'print("PEAK", peak_memory({name}, *{arguments!r}))'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
    )
    found = [line for line in done.stdout.splitlines() if line.startswith('PEAK')]
    if not found:
        given = ', '.join(map(str, arguments))
        last = (done.stderr.strip().splitlines() or ['killed, most likely for memory'])[-1]
        raise InputError(f'training steps of {given} did not finish: {last}')
    return float(found[0].split()[1])


def check_dtype(dtype, device):
    """Raises InputError where the machine has no arithmetic of this kind."""
    if device == 'cpu' and dtype == 'float16':
        raise InputError('float16 training is for GPUs: give --dtype bfloat16 or float32')
    if device == 'cpu' and dtype == 'bfloat16' and not cpu_has_bfloat16():
        raise InputError(
            'this CPU has no bfloat16 arithmetic (torch would emulate it, many times slower): give '
            '--dtype float32'
        )


def check_image_size(image_size, methods):
    """Raises InputError for a side that the methods cannot take."""
    if image_size % 64 or ('simmim_mmpretrain' in methods and image_size < 256):
        raise InputError(
            f'--image-size {image_size} should be a multiple of 64, and at least 256 with '
            "mmpretrain's SimMIM"
        )


def compare(methods, size, n, image_size, dtype, repeats, steps, memory_gb, report):
    """Measure and count all methods.

    Args:
        methods (Sequence[str]): Keys of ``METHODS``.
        size (str): Key of ``SIZES``.
        n (int): Images per batch.
        image_size (int): Their side in pixels.
        dtype (str): 'float32', or of autocast.
        repeats (int): Interleaved repeats.
        steps (int): Steps of each method in a repeat; the fastest counts.
        memory_gb (float): For which memory to work out the largest batch.
        report (Callable): Gets lines of progress.

    Returns:
        dict: ``methods``: what was found for each.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    check_dtype(dtype, device)
    check_image_size(image_size, methods)
    result = {}
    for method in methods:
        report(f'{METHODS[method]}: counting')
        model = build(method, size, device)
        parameters = sum(p.numel() for p in model.parameters())
        few = min(n, MAX_COUNTED)  # counts are in float32, and of an image
        cost = training_cost(model, *batch(method, few, image_size, device))
        # weights, gradients and two moments in float32
        state_mb = 16 * parameters / 1e6
        result[method] = dict(
            name=METHODS[method],
            parameters=parameters,
            **cost,
            state_mb=state_mb,
            largest_batch=max(0, int((memory_gb * 1e3 - state_mb) / cost['activation_mb'])),
        )
        del model
        if device == 'cuda':
            torch.cuda.empty_cache()
        report(f'{METHODS[method]}: peak memory')
        result[method]['peak_mb'] = peak_memory_of(
            Trainer, method, size, n, image_size, dtype, device
        )
    trainers = {method: Trainer(method, size, n, image_size, dtype, device) for method in methods}
    for trainer in trainers.values():
        trainer.step()
    seconds = {method: [] for method in methods}
    for repeat in range(repeats):
        for method, trainer in trainers.items():
            seconds[method].append(min(trainer.step() for _ in range(steps)))
        report(
            f'repeat {repeat + 1} of {repeats}: '
            + ', '.join(f'{m} {n / s[-1]:.1f} images/s' for m, s in seconds.items())
        )
    for method in methods:
        result[method]['images_per_second'] = n / statistics.median(seconds[method])
        for other in ('simmim', 'simmim_mmpretrain', 'reference'):
            if other in methods and other != method:
                ratios = [b / a for a, b in zip(seconds[method], seconds[other])]
                result[method][f'times_{other}'] = dict(
                    median=statistics.median(ratios), low=min(ratios), high=max(ratios)
                )
    return dict(
        settings=dict(
            size=size,
            batch=n,
            image_size=image_size,
            dtype=dtype,
            repeats=repeats,
            steps=steps,
            memory_gb=memory_gb,
        ),
        methods=result,
    )


def table(result):
    """The result as Markdown."""
    settings, methods = result['settings'], result['methods']
    others = [o for o in ('simmim', 'simmim_mmpretrain', 'reference') if o in methods]
    head = [
        'method',
        'images/s',
        *(f'times {o}' for o in others),
        'GFLOP / image',
        'MB kept / image',
        'peak MB',
        f'largest batch in {settings["memory_gb"]:g} GB (worked out)',
    ]

    def ratio(method, other):
        found = methods[method].get(f'times_{other}')
        return f'{found["median"]:.2f} ({found["low"]:.2f}-{found["high"]:.2f})' if found else '1'

    rows = [
        [
            m['name'],
            f'{m["images_per_second"]:.1f}',
            *(ratio(key, o) for o in others),
            f'{m["gflop"]:.1f}',
            f'{m["activation_mb"]:.1f}',
            f'{m["peak_mb"]:.0f}',
            m['largest_batch'],
        ]
        for key, m in methods.items()
    ]
    caption = (
        f'Swin-{settings["size"]}, {settings["image_size"]} px, batch {settings["batch"]}, '
        f'{settings["dtype"]}, forward + backward + AdamW. {caption_of(result)} Speed: median of '
        f'{settings["repeats"]} interleaved repeats, ratios by repeat (lowest-highest). FLOPs '
        '(attention on its math backend) and bytes kept for the backward are exact counts in '
        'float32; peak memory is of a fresh process on a CPU, of its allocator on a GPU.'
    )
    return markdown_table(head, rows, caption)


def read_result(path):
    """A result file of tools/benchmark.py.

    Raises:
        InputError: If it is none.
    """
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f'{path} is no result file ({error}): give the JSON that tools/benchmark.py wrote'
        ) from error
