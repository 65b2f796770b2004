"""Training steps of Mask R-CNN at full size: our backbones against mmdet's, interleaved."""

import statistics
import time

import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.registry import init_default_scope

from benchmarks import CONFIGS
from benchmarks.compare import check_dtype, peak_memory_of
from benchmarks.cost import saved_activations
from benchmarks.report import caption_of, markdown_table
from mmum.engine.config import load_config
from mmum.engine.scale import BFloat16DetectorOptimWrapper

SIDE = (800, 1344)  # 1333x800, padded as in training
METHODS = dict(
    um_swin=('UMSwin, window 16', 'mask-rcnn_um-swin-t_fpn_1x_coco.py'),
    stock_swin=('UMStockSwin, window 7', 'mask-rcnn_swin-t_fpn_1x_coco.py'),
    mmdet_swin=("mmdet's Swin, window 7", 'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py'),
)
REFERENCE = 'mmdet_swin'


class DetectorTrainer:
    """Training steps of a detector, always on the same images.

    Args:
        method (str): Key of ``METHODS``.
        n (int): Images per batch.
        dtype (str): 'float32', or of autocast.
        device (str): 'cpu' or 'cuda'.
    """

    def __init__(self, method, n, dtype, device):
        init_default_scope('mmdet')
        path = METHODS[method][1]
        if path.startswith('mmdet::'):
            cfg = Config.fromfile(Config._get_cfg_path(path, '')[0])
            cfg.model.backbone.init_cfg = None  # a download
        else:
            cfg = load_config(str(CONFIGS / 'detection' / path))
        torch.manual_seed(0)
        self.device, self.n = device, n
        self.model = MODELS.build(cfg.model).to(device)
        batch = demo_mm_inputs(
            n, [(3, *SIDE)] * n, num_classes=80, num_items=[8] * n, with_mask=True, device=device
        )
        self.data = self.model.data_preprocessor(batch, True)
        self.model.train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-4, fused=True)
        self.dtype = dtype
        self.scaler = torch.amp.GradScaler(device, enabled=dtype == 'float16')

    def autocast(self):
        """The context of a forward, as ``mmum train --amp`` has it."""
        if self.dtype == 'bfloat16':
            return BFloat16DetectorOptimWrapper(self.optimizer).optim_context(self.model)
        enabled = self.dtype != 'float32'
        return torch.autocast(self.device, getattr(torch, self.dtype), enabled=enabled)

    def loss(self):
        """The loss of a forward."""
        torch.manual_seed(0)  # of sampling and drop path
        losses = self.model(self.data['inputs'], self.data['data_samples'], mode='loss')
        return self.model.parse_losses(losses)[0]

    def step(self):
        """Forward, backward, optimiser: seconds."""
        self._wait()
        start = time.perf_counter()
        with self.autocast():
            loss = self.loss()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self._wait()
        return time.perf_counter() - start

    def kept_mb(self):
        """MB (10 ** 6 bytes) that an image keeps for the backward."""
        own = [*self.model.parameters(), *self.model.buffers(), self.data['inputs']]
        with saved_activations(own) as storages, self.autocast():
            value = self.loss()
        del value
        return sum(storages.values()) / self.n / 1e6

    def _wait(self):
        if self.device == 'cuda':
            torch.cuda.synchronize()


def measure(n, dtype, repeats, steps, report):
    """Measure all methods.

    Args:
        n (int): Images per batch.
        dtype (str): 'float32', or of autocast.
        repeats (int): Interleaved repeats.
        steps (int): Steps of each method in a repeat; the fastest counts.
        report (Callable): Gets lines of progress.

    Returns:
        dict: ``settings`` and ``methods``: what was found for each.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    check_dtype(dtype, device)
    result = {}
    for method, (name, _) in METHODS.items():
        trainer = DetectorTrainer(method, n, dtype, device)
        parameters = sum(p.numel() for p in trainer.model.parameters())
        result[method] = dict(name=name, parameters=parameters, activation_mb=trainer.kept_mb())
        del trainer
        report(f'{name}: {result[method]["activation_mb"]:.0f} MB kept')
        result[method]['peak_mb'] = peak_memory_of(DetectorTrainer, method, n, dtype, device)
    trainers = {method: DetectorTrainer(method, n, dtype, device) for method in METHODS}
    for trainer in trainers.values():
        for _ in range(3 if device == 'cuda' else 1):
            trainer.step()
    seconds = {method: [] for method in METHODS}
    for repeat in range(repeats):
        for method, trainer in trainers.items():
            seconds[method].append(min(trainer.step() for _ in range(steps)))
        now = ', '.join(f'{method} {1e3 * s[-1]:.0f} ms' for method, s in seconds.items())
        report(f'repeat {repeat + 1} of {repeats}: {now}')
    for method, one in result.items():
        ratios = [b / a for a, b in zip(seconds[method], seconds[REFERENCE])]
        one['images_per_second'] = n / statistics.median(seconds[method])
        one['times_mmdet'] = dict(
            median=statistics.median(ratios), low=min(ratios), high=max(ratios)
        )
    return dict(
        settings=dict(batch=n, dtype=dtype, repeats=repeats, steps=steps, side=list(SIDE)),
        methods=result,
    )


def table(result):
    """The result as Markdown."""
    settings = result['settings']
    height, width = settings['side']
    rows = []
    for method, one in result['methods'].items():
        ratio = one['times_mmdet']
        rows.append(
            [
                one['name'],
                f'{one["parameters"] / 1e6:.1f}',
                f'{one["images_per_second"]:.2f}',
                '1'
                if method == REFERENCE
                else f'{ratio["median"]:.2f} ({ratio["low"]:.2f}-{ratio["high"]:.2f})',
                f'{one["activation_mb"]:.0f}',
                f'{one["peak_mb"]:.0f}',
            ]
        )
    caption = (
        f'Mask R-CNN Swin-T, {width}x{height} px, batch {settings["batch"]}, {settings["dtype"]}, '
        f'forward + backward + AdamW. {caption_of(result)} Speed: median of {settings["repeats"]} '
        'interleaved repeats, ratios by repeat (lowest-highest). Bytes kept for the backward are '
        'an exact count; peak memory is of a fresh process on a CPU, of its allocator on a GPU.'
    )
    head = [
        'backbone',
        'M parameters',
        'images/s',
        "times mmdet's Swin",
        'MB kept / image',
        'peak MB',
    ]
    return markdown_table(head, rows, caption)
