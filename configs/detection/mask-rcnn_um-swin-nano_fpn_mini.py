# Mask R-CNN with a very small UM-MAE Swin on the mini data set: what `make demo` runs.
#
#   python tools/train.py configs/detection/mask-rcnn_um-swin-nano_fpn_mini.py \
#       --cfg-options pretrained=work_dirs/um_mae_swin_nano_mini/epoch_14.pth
#
# Hardware: 2 CPU cores. Minutes and AP: see docs/results.md.
_base_ = './mask-rcnn_um-swin-t_fpn_1x_coco.py'
data_root = 'data/mini/'
dataset = dict(
    data_root=data_root, metainfo=dict(classes=tuple('0123456789')), filter_cfg=dict(min_size=1)
)

# heads that start from scratch learn faster normalised
norm_cfg = dict(type='GN', num_groups=8)
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=48, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)),
        window_size=8,
        drop_path_rate=0.0,
    ),
    neck=dict(
        in_channels=[48, 48 * 2, 48 * 4, 48 * 8], out_channels=64, num_outs=4, norm_cfg=norm_cfg
    ),
    # balls and tiles are 26 to 58 px in images of 128 px
    rpn_head=dict(
        in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4], strides=[4, 8, 16, 32])
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, finest_scale=28, roi_layer=dict(sampling_ratio=1)),
        bbox_head=dict(
            type='ConvFCBBoxHead',
            num_shared_convs=2,
            num_shared_fcs=1,
            in_channels=64,
            conv_out_channels=64,
            fc_out_channels=256,
            norm_cfg=norm_cfg,
            num_classes=10,
        ),
        mask_roi_extractor=dict(out_channels=64, finest_scale=28, roi_layer=dict(sampling_ratio=1)),
        mask_head=dict(in_channels=64, conv_out_channels=64, num_convs=2, num_classes=10),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=200, max_per_img=100), rcnn=dict(sampler=dict(num=32))
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100), rcnn=dict(max_per_img=20)),
)

train_pipeline = [
    dict(type='LoadImageStrict'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomResize', scale=(128, 128), ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(128, 128)),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        **dataset,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        **dataset,
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val.json', resamples=200)
test_evaluator = val_evaluator

max_epochs = 18
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
# For a start from pre-training. From scratch the first layers have most to learn:
# optim_wrapper.paramwise_cfg.layer_decay_rate=1.0
optim_wrapper = dict(optimizer=dict(lr=2e-3), paramwise_cfg=dict(layer_decay_rate=0.75))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs,
        eta_min=0.0,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=max_epochs))
