"""Time of a training step by kind of work, and the next ceiling."""

import re

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.compare import METHODS, Trainer, check_dtype, check_image_size
from benchmarks.report import caption_of, markdown_table

# Words of an operator's name; the first kind that has one of them. The longest operators are named
# in the result file.
KINDS = dict(
    products='mm addmm bmm baddbmm addmv convolution conv2d linear',
    attention='attention softmax',
    norms='norm',
    gelu='gelu',
    optimizer='adamw Optimizer',
    lookups='gather scatter index embedding',
    copies='copy cat clone fill zero zeros roll pad contiguous im2col col2im stack shuffle '
    'unshuffle',
    sums='sum mean var',
    arithmetic='add mul sub div pow exp log log1p abs clamp where threshold relu square sqrt loss '
    'neg sign eq ne ge gt lt le round sort masked',
)
NAMES = dict(
    products='matrix products, convolutions',
    attention='attention without its products, or fused',
    norms='norms',
    gelu='GELU',
    optimizer='optimiser',
    lookups='lookups and their backward',
    copies='copies and casts',
    sums='sums',
    arithmetic='other arithmetic',
    rest='autograd, allocation, Python',
    idle='GPU waits for the CPU',
)


def kind_of(operator):
    """Key of ``NAMES`` for the name of an operator, for example 'aten::native_layer_norm'."""
    words = set(re.findall('[A-Za-z0-9]+', operator))
    return next((kind for kind, names in KINDS.items() if words & set(names.split())), 'rest')


def largest_product_speed(dtype, device):
    """FLOP/s of one large product: what products of a step could reach at best."""
    side = 4096 if device == 'cuda' else 2048
    a, b = torch.randn(2, side, side, device=device, dtype=getattr(torch, dtype))
    timer = Timer('a @ b', globals=dict(a=a, b=b), num_threads=torch.get_num_threads())
    return 2 * side**3 / min(timer.timeit(1).median for _ in range(5))


def profile_steps(trainer, steps, device):
    """Profile some steps: (seconds per step, {operator: seconds per step}), of kernels on a GPU.

    The seconds of a step are measured without the profiler, which costs time itself.
    """
    seconds = sorted(trainer.step() for _ in range(steps))[steps // 2]
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == 'cuda' else [])]
    with profile(activities=activities) as profiler:
        for _ in range(steps):
            trainer.step()
    time_of = (
        (lambda event: event.self_device_time_total)
        if device == 'cuda'
        else (lambda event: event.self_cpu_time_total)
    )
    # on a GPU a kernel has a line of its own, whose time is also that of the operator which
    # launched it
    operators = {
        event.key: time_of(event) / 1e6 / steps
        for event in profiler.key_averages()
        if event.device_type == torch.autograd.DeviceType.CPU
    }
    return seconds, {name: value for name, value in operators.items() if value}


def measure(methods, size, n, image_size, dtype, steps, report):
    """Profiles training steps of each method.

    Args:
        methods (Sequence[str]): Keys of ``compare.METHODS``.
        size (str): Key of ``compare.SIZES``.
        n (int): Images per batch.
        image_size (int): Their side in pixels.
        dtype (str): 'float32', or of autocast.
        steps (int): Steps to profile.
        report (Callable): Gets lines of progress.

    Returns:
        dict: ``settings``, ``product_flops`` (FLOP/s of one large product) and ``methods``: for
        each ``seconds`` of a step, ``flop`` of its products, ``kinds`` {kind: seconds} and
        ``operators`` {operator: seconds}.

    Raises:
        InputError: For a type or size that cannot be.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    check_dtype(dtype, device)
    check_image_size(image_size, methods)
    result, product_flops = {}, 0.0
    for method in methods:
        product_flops = max(
            product_flops, largest_product_speed(dtype, device)
        )  # more than once: machines have slow moments
        report(f'{METHODS[method]}: {steps} steps, and {steps} in the profiler')
        trainer = Trainer(method, size, n, image_size, dtype, device)
        with FlopCounterMode(display=False) as counter:
            trainer.step()
        flop = sum(
            count
            for name, count in counter.get_flop_counts()['Global'].items()
            if kind_of(str(name)) == 'products'
        )
        seconds, operators = profile_steps(trainer, steps, device)
        kinds = dict.fromkeys(NAMES, 0.0)
        for name, value in operators.items():
            kinds[kind_of(name)] += value
        kinds['idle'] = max(0.0, seconds - sum(kinds.values())) if device == 'cuda' else 0.0
        operators = dict(sorted(operators.items(), key=lambda item: -item[1])[:40])
        result[method] = dict(
            name=METHODS[method], seconds=seconds, flop=flop, kinds=kinds, operators=operators
        )
        del trainer
    return dict(
        settings=dict(size=size, batch=n, image_size=image_size, dtype=dtype, steps=steps),
        product_flops=product_flops,
        methods=result,
    )


def table(result):
    """The result as Markdown, and below it the next ceiling."""
    settings, methods = result['settings'], result['methods']
    total = {key: sum(method['kinds'].values()) for key, method in methods.items()}
    rows = []
    for kind in sorted(
        NAMES, key=lambda kind: -max(method['kinds'][kind] for method in methods.values())
    ):
        if any(method['kinds'][kind] > 0.0005 * total[key] for key, method in methods.items()):
            rows.append(
                [
                    NAMES[kind],
                    *(
                        f'{1e3 * method["kinds"][kind]:.0f} '
                        f'({method["kinds"][kind] / total[key]:.0%})'
                        for key, method in methods.items()
                    ),
                ]
            )
    rows.append(
        [
            'a step, without the profiler',
            *(f'{1e3 * method["seconds"]:.0f}' for method in methods.values()),
        ]
    )
    caption = (
        f'Swin-{settings["size"]}, {settings["image_size"]} px, batch {settings["batch"]}, '
        f'{settings["dtype"]}: milliseconds of a training step, by kind of work. '
        f"{caption_of(result)} Mean of {settings['steps']} steps in torch's profiler, an "
        "operator's own time."
    )
    lines = [
        markdown_table(
            ['kind of work', *(method['name'] for method in methods.values())], rows, caption
        )
    ]
    lines += [ceiling(result, key) for key in methods]
    return '\n'.join(lines)


def ceiling(result, key):
    """One paragraph on a method: how fast its products are, and what would be gained with the rest
    gone."""
    method, peak = result['methods'][key], result['product_flops']
    kinds = method['kinds']
    products = kinds['products']
    other, longest = max((value, kind) for kind, value in kinds.items() if kind != 'products')
    return (
        f'{method["name"]}: products of {method["flop"] / 1e9:.0f} GFLOP a step take '
        f'{1e3 * products:.0f} ms, {method["flop"] / products / 1e9:.0f} GFLOP/s where one large '
        f'product reaches {peak / 1e9:.0f}. The next ceiling: at that speed they alone would take '
        f'{1e3 * method["flop"] / peak:.0f} ms; what is longest beside them is {NAMES[longest]}, '
        f'{1e3 * other:.0f} ms.\n'
    )
