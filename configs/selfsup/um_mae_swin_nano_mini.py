# UM-MAE of a very small Swin on the mini data set: what `make demo` runs.
#
#   python tools/prepare_data.py mini --out data/mini
#   python tools/train.py configs/selfsup/um_mae_swin_nano_mini.py --amp
#
# Hardware: 2 CPU cores. Minutes: see docs/results.md.
_base_ = './um_mae_swin_t.py'
data_root = 'data/mini/unlabelled'
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=48, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16))
    ),
    neck=dict(in_channels=48 * 2**3, embed_dims=128, depth=2, num_heads=4),
)
# images of 128 px: 4 x 4 cells, 16 sampled units
train_pipeline = [
    dict(type='LoadImageStrict'),
    dict(
        type='RandomResizedCrop',
        scale=128,
        crop_ratio_range=(0.4, 1.0),
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.0),
    dict(type='UniformMask', input_size=128),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=128, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=128),
    dict(type='UniformMask', input_size=128),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    pin_memory=False,
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
test_dataloader = dict(num_workers=1, dataset=dict(data_root=data_root, pipeline=test_pipeline))
# lr 1.5e-4 x batch / 256 is for 300,000 steps; a run of a few thousand wants more
optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=64)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=2,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        T_max=12,
        eta_min=0.0,
        by_epoch=True,
        begin=2,
        end=14,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=14)
