"""Where the time of a training step goes, by kind of work, and which ceiling is next."""
import time

import torch
from torch.profiler import ProfilerActivity, profile

from mmum.benchmark.compare import METHODS, Trainer, batch, build, check_dtype, check_image_size
from mmum.benchmark.report import caption_of, markdown_table
from mmum.engine.cost import training_cost

# The first whose words an operator's name has. What is left is named in the result file, operator by operator.
KINDS = dict(
    products=('mm', 'addmv', 'convolution', 'conv2d', 'conv_transpose', 'linear'),
    attention=('scaled_dot_product', 'attention', 'softmax'),
    norms=('layer_norm', 'LayerNorm'),
    gelu=('gelu', ),
    optimizer=('adam', 'Optimizer'),
    lookups=('gather', 'scatter', 'index', 'embedding'),
    copies=('copy', 'cat', 'clone', 'fill', 'zero', 'roll', 'pad', 'contiguous', 'im2col', 'col2im', 'to_copy', 'Memcpy',
            'Memset', 'stack', 'shuffle'),
    sums=('sum', 'mean', 'var', 'reduce'),
    arithmetic=('add', 'mul', 'sub', 'div', 'pow', 'exp', 'log', 'abs', 'clamp', 'where', 'threshold', 'relu', 'square', 'sqrt',
                'mse_loss', 'l1_loss', 'smooth', 'neg', 'sign', 'eq', 'ne', 'ge', 'gt', 'lt', 'le', 'round', 'sort', 'masked'))
NAMES = dict(
    products='matrix products, convolutions', attention='attention without its products, or fused', norms='norms', gelu='GELU',
    optimizer='optimiser', lookups='lookups and their backward', copies='copies and casts', sums='sums',
    arithmetic='other arithmetic', rest='autograd, allocation, Python', idle='GPU waits for the CPU')


def kind_of(operator):
    """Key of ``NAMES`` for the name of an operator, for example 'aten::mm' or 'GeluBackward0'."""
    name = operator.removeprefix('aten::')
    if 'evaluate_function' in name:
        return 'rest'
    return next((kind for kind, words in KINDS.items() if any(word in name for word in words)), 'rest')


def largest_product_speed(dtype, device, side=4096, repeats=5):
    """FLOP/s of one large product: what products of a step could reach at best."""
    side = side if device == 'cuda' else side // 2
    a, b = torch.randn(2, side, side, device=device, dtype=getattr(torch, dtype))
    fastest = float('inf')
    for _ in range(repeats):
        _wait(device)
        start = time.perf_counter()
        a @ b
        _wait(device)
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * side**3 / fastest


def _wait(device):
    if device == 'cuda':
        torch.cuda.synchronize()


def profile_steps(trainer, steps, device):
    """Operators of some steps: (seconds a step, {operator: seconds a step}); on a GPU seconds of its kernels.

    The seconds of a step are measured without the profiler, which costs time itself.
    """
    seconds = sorted(trainer.step() for _ in range(steps))[steps // 2]
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == 'cuda' else [])]
    with profile(activities=activities) as profiler:
        for _ in range(steps):
            trainer.step()
    time_of = (lambda event: event.self_device_time_total) if device == 'cuda' else (lambda event: event.self_cpu_time_total)
    # on a GPU a kernel has a line of its own, whose time is also that of the operator which launched it
    operators = {event.key: time_of(event) / 1e6 / steps for event in profiler.key_averages()
                 if event.device_type == torch.autograd.DeviceType.CPU}
    return seconds, {name: value for name, value in operators.items() if value}


def measure(methods, size, n, image_size, dtype, steps, report):
    """Profiles training steps of each method.

    Args:
        methods (Sequence[str]): Keys of ``compare.METHODS``.
        size (str): Key of ``compare.SIZES``.
        n (int): Images a batch.
        image_size (int): Their side in pixels.
        dtype (str): 'float32', or of autocast.
        steps (int): Steps to profile.
        report (Callable): Gets lines of progress.

    Returns:
        dict: ``settings``, ``product_flops`` (FLOP/s of one large product) and ``methods``: for each ``seconds`` of a step,
        ``flop`` of a step, ``kinds`` {kind: seconds} and ``operators`` {operator: seconds}.

    Raises:
        InputError: For a type or size that cannot be.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    check_dtype(dtype, device)
    check_image_size(image_size, methods)
    result, product_flops = {}, 0.
    for method in methods:
        product_flops = max(product_flops, largest_product_speed(dtype, device))  # more than once: machines have slow moments
        report(f'{METHODS[method]}: counting')
        flop = training_cost(build(method, size, device), *batch(method, n, image_size, device))['gflop'] * n * 1e9
        report(f'{METHODS[method]}: {steps} steps, and {steps} in the profiler')
        trainer = Trainer(method, size, n, image_size, dtype, device)
        trainer.step()
        seconds, operators = profile_steps(trainer, steps, device)
        kinds = dict.fromkeys(NAMES, 0.)
        for name, value in operators.items():
            kinds[kind_of(name)] += value
        kinds['idle'] = max(0., seconds - sum(kinds.values())) if device == 'cuda' else 0.
        operators = dict(sorted(operators.items(), key=lambda item: -item[1])[:40])
        result[method] = dict(name=METHODS[method], seconds=seconds, flop=flop, kinds=kinds, operators=operators)
        del trainer
    return dict(settings=dict(size=size, batch=n, image_size=image_size, dtype=dtype, steps=steps),
                product_flops=product_flops, methods=result)


def table(result):
    """The result as Markdown, and below it the next ceiling."""
    settings, methods = result['settings'], result['methods']
    total = {key: sum(method['kinds'].values()) for key, method in methods.items()}
    rows = []
    for kind in sorted(NAMES, key=lambda kind: -max(method['kinds'][kind] for method in methods.values())):
        if any(method['kinds'][kind] > 0.0005 * total[key] for key, method in methods.items()):
            rows.append([NAMES[kind], *(f'{1e3 * method["kinds"][kind]:.0f} ({method["kinds"][kind] / total[key]:.0%})'
                                        for key, method in methods.items())])
    rows.append(['a step, without the profiler', *(f'{1e3 * method["seconds"]:.0f}' for method in methods.values())])
    caption = (f'Swin-{settings["size"]}, {settings["image_size"]} px, batch {settings["batch"]}, {settings["dtype"]}: '
               f'milliseconds of a training step, by kind of work. {caption_of(result)} Mean of {settings["steps"]} steps in '
               "torch's profiler, an operator's own time.")
    lines = [markdown_table(['kind of work', *(method['name'] for method in methods.values())], rows, caption)]
    lines += [ceiling(result, key) for key in methods]
    return '\n'.join(lines)


def ceiling(result, key):
    """One paragraph on a method: how fast its products are, and what would be gained with the rest gone."""
    method, peak = result['methods'][key], result['product_flops']
    kinds = method['kinds']
    products = kinds['products']
    other, longest = max((value, kind) for kind, value in kinds.items() if kind != 'products')
    return (f'{method["name"]}: {method["flop"] / 1e9:.0f} GFLOP a step take {1e3 * products:.0f} ms in products, '
            f'{method["flop"] / products / 1e9:.0f} GFLOP/s where one large product reaches {peak / 1e9:.0f}. The next '
            f'ceiling: at that speed, and with nothing else to do, a step would take {1e3 * method["flop"] / peak:.0f} ms; '
            f'what is longest beside products is {NAMES[longest]}, {1e3 * other:.0f} ms.\n')
