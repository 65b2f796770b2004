# UM-MAE of a very small Swin on nuclei, real microscopy images: the worked example of a domain of
# your own, see docs/recipes-for-your-domain.md.
#
#   python tools/prepare_data.py nuclei stage1_train.zip --out data/nuclei
#   python tools/train.py configs/selfsup/um_mae_swin_nano_nuclei.py --amp
#
# Hardware: 2 CPU cores, an hour and a half, or a GPU. What it is worth: see docs/results.md.
_base_ = './um_mae_swin_nano_mini.py'
data_root = 'data/nuclei/train'
train_pipeline = [
    dict(type='LoadImageStrict'),
    dict(
        type='RandomResizedCrop',
        scale=128,
        crop_ratio_range=(0.2, 1.0),
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='UniformMask', input_size=128),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
test_dataloader = dict(dataset=dict(data_root=data_root))

# The mini set's 1e-3 keeps a Swin on a plateau for thousands of steps.
optim_wrapper = dict(optimizer=dict(lr=5e-4))
max_iters, warm_up = 10_000, 333  # after 4000 detectors gain less
train_cfg = dict(_delete_=True, type='ResumableIterTrainLoop', max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end=warm_up),
    dict(
        type='CosineAnnealingLR',
        T_max=max_iters - warm_up,
        eta_min=0.0,
        by_epoch=False,
        begin=warm_up,
        end=max_iters,
    ),
]
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=500)
)
custom_hooks = [
    dict(type='ReconstructionHook', interval=500),
    dict(type='TrivialAnswersHook', interval=10),
    dict(type='UtilisationHook'),
]
log_processor = dict(by_epoch=False)
