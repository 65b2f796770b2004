# A folder of images at any depth, no labels: the one line to change, or --cfg-options
# data_root=FOLDER.
data_root = 'data/imagenet/train'

data_preprocessor = dict(
    type='SelfSupDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)
train_pipeline = [
    dict(type='LoadCropResize', scale=256, crop_ratio_range=(0.2, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='UniformMask', input_size=256, unit=16, secondary_ratio=0.25),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,  # workers seed once: new ones every epoch would repeat the masks
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='UnlabelledImages', data_root=data_root, pipeline=train_pipeline),
)

# tools/test.py: the loss, and pictures, on (held-out) images
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=256),
    dict(type='UniformMask', input_size=256, unit=16, secondary_ratio=0.25),
    dict(type='PackInputs'),
]
test_dataloader = dict(
    batch_size=64,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='UnlabelledImages', data_root=data_root, pipeline=test_pipeline),
)
test_evaluator = dict(type='ReconstructionMetric')
test_cfg = dict()
