"""Parameters, FLOPs and memory of detectors at full size."""

import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.registry import init_default_scope
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import CONFIGS
from benchmarks.cost import saved_activations
from benchmarks.report import caption_of, markdown_table, peak_rss_mb
from mmum.engine.config import load_config
from mmum.errors import InputError

# Of the Swin paper (arXiv 2103.14030), at 1280x800: millions of parameters, 10^9 multiply-adds (its
# "FLOPs").
PAPER = {
    'mask-rcnn_swin-t': (48, 264),
    'cascade-mask-rcnn_swin-t': (86, 745),
    'cascade-mask-rcnn_swin-b': (145, 982),
    'htcpp_swin-l': (284, 1470),
}
MASKS = 100  # of one image: mask heads see the final boxes


def of_the_paper(name):
    """Numbers of the Swin paper for this head and backbone, or None; UM-MAE's Swin has position
    MLPs instead of tables."""
    return next(
        (
            numbers
            for key, numbers in PAPER.items()
            if name.replace('_um-', '_').startswith(f'{key}_')
        ),
        None,
    )


def inference_flops(model, data):
    """Count one inference; mask heads get the first 100 boxes, where mmdet's forward would give a
    cascade's all proposals."""
    roi_head = getattr(model, 'roi_head', None)
    masks = getattr(roi_head, 'with_mask', False)
    if masks:
        forward = roi_head._mask_forward

        def limited(*args, **kwargs):
            boxes = [value for value in (*args, *kwargs.values()) if _are_boxes(value)]
            few = forward(
                *map(_first, args), **{key: _first(value) for key, value in kwargs.items()}
            )
            # as if all had been there
            return {key: _as_many(value, len(boxes[0])) for key, value in few.items()}

        roi_head._mask_forward = limited
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(data['inputs'], data['data_samples'], mode='tensor')
    if masks:
        del roi_head._mask_forward  # the class's own again
    return counter.get_total_flops()


def _are_boxes(value):
    return isinstance(value, torch.Tensor) and value.dim() == 2 and value.shape[1] == 5


def _first(value):
    """Of boxes (N, 5) the first ones, everything else as it is."""
    return value[:MASKS] if _are_boxes(value) else value


def _as_many(value, number):
    """A result with this many rows."""
    if isinstance(value, (list, tuple)):
        return [_as_many(one, number) for one in value]
    return value[:1].expand(number, *value.shape[1:]) if isinstance(value, torch.Tensor) else value


def measure(paths, side, report, pretrained=None, inference=False):
    """Count detectors.

    Args:
        paths (Sequence[Path]): Configs.
        side (tuple[int, int]): Height and width of the image, in pixels.
        report (Callable): Gets lines of progress.
        pretrained (str, optional): Checkpoint that the backbones start from. Defaults to None:
            random weights.
        inference (bool): Also make one inference of 800x1333 px, boxes and masks and all. Defaults
            to False.

    Returns:
        dict: ``detectors``: for each config ``parameters``; ``gmac``, 10 ** 9 multiply-adds of one
        inference (attention on its math backend; operators of mmcv, such as RoIAlign and NMS, are
        not counted); ``activation_mb``, what one image of training keeps for the backward in
        float32; and with ``inference`` its ``seconds``, ``peak_mb`` of the process, and ``boxes``.
    """
    found = {}
    for path in paths:
        # in a process of its own: what one leaves in memory is not there for the next
        with ProcessPoolExecutor(1, get_context('spawn')) as pool:
            try:
                one = found[path.stem] = pool.submit(
                    measure_one, path, side, pretrained, inference
                ).result()
            except BrokenProcessPool as error:
                raise InputError(
                    f'{path} was killed while it was measured, most likely for memory: leave it '
                    'out with --configs, or use a machine with more'
                ) from error
        report(
            f'{path.stem}: {one["parameters"] / 1e6:.0f} M parameters, {one["gmac"]:.0f} GMAC, '
            f'{one["activation_mb"]:.0f} MB'
        )
    return dict(settings=dict(side=list(side)), detectors=found)


def measure_one(path, side, pretrained, inference):
    """One detector of :func:`measure`."""
    init_default_scope('mmdet')
    cfg = load_config(str(path), dict(pretrained=pretrained))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    if pretrained:
        model.backbone.init_weights()  # tells what was loaded
    found = dict(inference=infer(model)) if inference else {}
    parameters = sum(p.numel() for p in model.parameters())
    semantic = bool(cfg.model.get('roi_head', {}).get('semantic_head'))
    batch = demo_mm_inputs(
        1,
        [(3, *side)],
        num_classes=80,
        num_items=[8],
        with_mask=True,
        with_semantic=semantic,
        sem_seg_output_strides=8,
    )
    data = model.data_preprocessor(batch, True)
    gmac = inference_flops(model, data) / 2e9
    model.train()
    with saved_activations([*model.parameters(), *model.buffers(), data['inputs']]) as storages:
        model.parse_losses(model(data['inputs'], data['data_samples'], mode='loss'))
    return dict(
        parameters=parameters,
        gmac=gmac,
        activation_mb=sum(storages.values()) / 1e6,
        paper=of_the_paper(path.stem),
        **found,
    )


def infer(model, side=(800, 1333)):
    """One inference as ``tools/test.py`` makes it."""
    batch = demo_mm_inputs(1, [(3, *side)], num_classes=80)
    model.eval()
    start = time.perf_counter()
    with torch.no_grad():
        found = model.test_step(batch)[0].pred_instances
    return dict(
        side=list(side),
        seconds=time.perf_counter() - start,
        peak_mb=peak_rss_mb(),
        boxes=len(found),
        masks=list(found.masks.shape) if 'masks' in found else None,
    )


def table(result):
    """The result as Markdown."""
    height, width = result['settings']['side']
    rows = []
    for name, one in result['detectors'].items():
        paper = f'{one["paper"][0]} / {one["paper"][1]}' if one['paper'] else '-'
        # weights, gradients and two moments in float32
        state = 16 * one['parameters'] / 1e6
        rows.append(
            [
                f'`{name}`',
                f'{one["parameters"] / 1e6:.1f}',
                f'{one["gmac"]:.0f}',
                paper,
                f'{(state + one["activation_mb"]) / 1e3:.1f}',
            ]
        )
    head = [
        'config',
        'M parameters',
        'GMAC',
        "the Swin paper's M / GMAC",
        'GB of training, estimated',
    ]
    caption = (
        f'{width}x{height} px. {caption_of(result)} Parameters and multiply-adds (GMAC, what the '
        "Swin paper calls FLOPs) of one inference are exact counts, without mmcv's operators such "
        'as RoIAlign; mask heads see 100 boxes. Memory is an estimate: weights, gradients and '
        'moments, and what one image keeps for the backward, all in float32; --amp nearly halves '
        'the latter.'
    )
    for name, one in result['detectors'].items():
        if 'inference' in one:
            height, width = one['inference']['side']
            caption += (
                f' One whole inference of {width}x{height} px with `{name}`: '
                f'{one["inference"]["seconds"]:.0f} s, '
                f'{one["inference"]["peak_mb"] / 1e3:.1f} GB at most.'
            )
    return markdown_table(head, rows, caption)


def model_of(name):
    """The config that was measured for this one: with another schedule or test, but the same
    model."""
    name = name.removesuffix('_tta')
    return name.replace('_3x_', '_1x_') if name.startswith('mask-rcnn') else name


def configs():
    """All detectors on COCO, each model once."""
    return sorted(
        path
        for path in (CONFIGS / 'detection').glob('*_coco.py')
        if model_of(path.stem) == path.stem
    )
