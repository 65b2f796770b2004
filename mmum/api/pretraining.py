"""Pre-train from Python: ``mmum.pretrain('images/', 'out/')``."""

import difflib
from pathlib import Path
from typing import Any

from mmum.checkpoints import BACKBONE_FILE
from mmum.engine.config import load_config, wrapped_dataset_cfgs
from mmum.engine.config.options import set_amp, set_auto_scale_lr, set_epochs, set_iters
from mmum.engine.config.replacements import type_name
from mmum.engine.config.shipped import list_configs
from mmum.engine.reliability.resume import find_latest_checkpoint
from mmum.engine.runner import build_runner
from mmum.errors import InputError

# Name of a model -> the config of its pre-training.
MODELS = dict(
    swin_nano='um_mae_swin_nano_mini',
    swin_tiny='um_mae_swin_t',
    swin_large='um_mae_swin_l',
    pvt_small='um_mae_pvt_s',
    vit_base='um_mae_vit_b',
    vit_large='um_mae_vit_l',
    stock_swin_tiny='um_mae_stock_swin_t_adapt',
)


def pretrain(
    data: str | Path,
    out: str | Path,
    model: str = 'swin_tiny',
    init: str | Path | None = None,
    epochs: int | None = None,
    iters: int | None = None,
    batch_size: int | None = None,
    resume: bool = True,
    amp: bool = True,
    **options: Any,
) -> str:
    """Pre-train a backbone on a folder of unlabelled images by UM-MAE (arXiv 2205.10063).

    The same as ``mmum train`` with the config of the model: checkpoints, pictures of
    reconstructions, curves and the log are in ``out``. The learning rate is scaled to the batch.

    Args:
        data (str | Path): A folder of images at any depth.
        out (str | Path): Folder to write to.
        model (str): 'swin_nano', 'swin_tiny', 'swin_large', 'pvt_small', 'vit_base', 'vit_large',
            'stock_swin_tiny' (mmdet's own Swin), the name of a config, or a ``.py`` file. Defaults
            to 'swin_tiny'.
        init (str | Path, optional): A checkpoint that the encoder starts from. Defaults to None:
            from scratch.
        epochs (int, optional): Defaults to None: those of the config.
        iters (int, optional): The same for a config that trains by iterations. Defaults to None.
        batch_size (int, optional): Images per step and GPU. Defaults to None: that of the config.
        resume (bool): Whether to continue a run in ``out``. Defaults to True; there need not be
            one.
        amp (bool): Mixed precision where the hardware has it. Defaults to True.
        **options: Settings of the config: ``**{'optim_wrapper.optimizer.lr': 1e-3}``, or nested,
            ``optim_wrapper=dict(optimizer=dict(lr=1e-3))``.

    Returns:
        str: ``out/backbone.safetensors``, for :func:`mmum.load_backbone` or ``pretrained=``.

    Raises:
        InputError: If the data, the model, a file or an option cannot be.
    """
    if not Path(data).is_dir():
        raise InputError(f'the image folder {data} does not exist: give a folder of images')
    if model not in MODELS and model not in list_configs() and not model.endswith('.py'):
        close = difflib.get_close_matches(model, [*MODELS, *list_configs()], n=1)
        hint = f'did you mean {close[0]}? ' if close else ''
        raise InputError(f"model='{model}' is unknown: {hint}choose one of {', '.join(MODELS)}")
    given: dict[str, Any] = dict(data_root=str(data))
    if init is not None:
        given['pretrained'] = str(init)
    if batch_size is not None:
        given['train_dataloader.batch_size'] = batch_size
    config = MODELS.get(model, model)
    loader = load_config(config).get('train_dataloader')
    datasets = wrapped_dataset_cfgs(loader.dataset) if loader else [{}]
    if any(type_name(dataset) != 'UnlabelledImages' for dataset in datasets):
        raise InputError(
            f'{model} is no pre-training: choose one of {", ".join(MODELS)}, or a config of '
            'configs/selfsup/'
        )
    cfg = load_config(config, {**given, **flatten(options)})
    cfg.work_dir = str(out)
    if epochs is not None and iters is not None:
        raise InputError(f'epochs={epochs} and iters={iters} cannot both be: give one')
    if epochs is not None:
        set_epochs(cfg, epochs)
    if iters is not None:
        set_iters(cfg, iters)
    if amp:
        set_amp(cfg)
    if 'auto_scale_lr' in cfg:
        set_auto_scale_lr(cfg)
    cfg.resume = resume and find_latest_checkpoint(out) is not None
    build_runner(cfg).train()
    return str(Path(out, BACKBONE_FILE))


def flatten(options: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Flatten nested options to dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, dict) and 'type' not in value and value:
            flat.update(flatten(value, f'{prefix}{key}.'))
        else:
            flat[f'{prefix}{key}'] = value
    return flat
