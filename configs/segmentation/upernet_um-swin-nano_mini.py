# UPerNet with a very small UM-MAE Swin on the mini data set: numbers and background.
#
#   python tools/train.py configs/segmentation/upernet_um-swin-nano_mini.py \
#       --cfg-options pretrained=work_dirs/um_mae_swin_nano_mini/epoch_14.pth
#
# Hardware: 2 CPU cores.
_base_ = './upernet_um-swin-t_160k_ade20k-512x512.py'
data_root = 'data/mini/'
num_classes = 11
dataset = dict(
    type='CheckedSegDataset',
    data_root=data_root,
    metainfo=dict(classes=('background', *'0123456789')),
)

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=48, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)),
        window_size=8,
        drop_path_rate=0.0,
    ),
    decode_head=dict(
        in_channels=[48, 96, 192, 384], channels=64, norm_cfg=norm_cfg, num_classes=num_classes
    ),
    auxiliary_head=dict(in_channels=192, channels=64, norm_cfg=norm_cfg, num_classes=num_classes),
    test_cfg=dict(_delete_=True, mode='whole'),
)

train_pipeline = [
    dict(type='LoadImageStrict'),
    dict(type='LoadSegMapStrict'),
    dict(type='RandomResize', scale=(128, 128), ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(128, 128)),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
tta_pipeline = None  # --tta: flips
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        **dataset,
        data_prefix=dict(img_path='train', seg_map_path='maps/train'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        **dataset,
        data_prefix=dict(img_path='val', seg_map_path='maps/val'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader

max_iters = 450  # 18 epochs, as the detectors on this data
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
# as the detectors of mask-rcnn_um-swin-nano_fpn_mini.py
optim_wrapper = dict(optimizer=dict(lr=2e-3), paramwise_cfg=dict(layer_decay_rate=0.75))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min=0.0, by_epoch=False),
]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=max_iters))
