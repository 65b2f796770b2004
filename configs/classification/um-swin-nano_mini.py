# A very small UM-MAE Swin trained with labels on digits of the mini data set: the supervised start
# of studies.
#
#   python tools/prepare_data.py mini-classes --out data/mini_classes
#   python tools/train.py configs/classification/um-swin-nano_mini.py
#
# Hardware: 2 CPU cores. AP of detectors that start from it: see docs/results.md.
_base_ = [
    '../_base_/datasets/labelled_256.py',
    '../_base_/schedules/finetune_100e.py',
    '../_base_/classification_runtime.py',
]
pretrained = None
data_root = 'data/mini_classes'
num_classes = 10

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='UMSwin',
        arch=dict(embed_dims=48, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)),
        window_size=8,
        drop_path_rate=0.0,
        norm_cfg=None,
        init_cfg=dict(type='BackboneCheckpoint', checkpoint=pretrained),
    ),
    neck=dict(type='MeanPoolNorm', in_channels=48 * 2**3),
    head=dict(type='LinearClsHead', num_classes=num_classes, in_channels=48 * 2**3),
)
data_preprocessor = dict(num_classes=num_classes)
# numbers are not themselves when flipped
train_pipeline = [
    dict(type='LoadImageStrict'),
    dict(
        type='RandomResizedCrop',
        scale=128,
        crop_ratio_range=(0.8, 1.0),
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=128, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=128),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    pin_memory=False,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=1,
    pin_memory=False,
    dataset=dict(data_root=data_root, pipeline=test_pipeline),
)
test_dataloader = val_dataloader

max_iters = 1500
train_cfg = dict(
    _delete_=True, type='ResumableIterTrainLoop', max_iters=max_iters, val_interval=max_iters
)
optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=dict(layer_decay_rate=1.0))
auto_scale_lr = dict(base_batch_size=64)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        T_max=max_iters - 100,
        eta_min=0.0,
        by_epoch=False,
        begin=100,
        end=max_iters,
    ),
]
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=max_iters, max_keep_ckpts=1, save_best=None),
)
log_processor = dict(by_epoch=False)
