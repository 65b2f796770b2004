# Mask R-CNN with a very small UM-MAE Swin on nuclei: the worked example of a domain of your own.
#
#   python tools/train.py configs/detection/mask-rcnn_um-swin-nano_fpn_nuclei.py \
#       --cfg-options pretrained=work_dirs/um_mae_swin_nano_nuclei/backbone.safetensors \
#       train_annotations=annotations/train_50.json
#
# Hardware: 2 CPU cores, or a GPU. Minutes and AP: see docs/results.md. As everywhere, COCO's AP
# counts the 100 surest detections of an image; some of these images hold more nuclei.
_base_ = './mask-rcnn_um-swin-nano_fpn_mini.py'
data_root = 'data/nuclei/'
# annotations/train_{25,50,100,200}.json are nested subsets of it
train_annotations = 'annotations/train.json'
dataset = dict(data_root=data_root, metainfo=dict(classes=('nucleus',)))

model = dict(
    # nuclei are 7 to 51 px
    rpn_head=dict(anchor_generator=dict(scales=[2])),
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=200), rcnn=dict(sampler=dict(num=64))
    ),
    test_cfg=dict(rpn=dict(nms_pre=1000, max_per_img=500), rcnn=dict(max_per_img=300)),
)
# the scale is the microscope's: images are cropped, never fitted to a size
train_pipeline = [
    dict(type='LoadImageStrict'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomCrop', crop_size=(128, 128)),
    dict(
        type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']
    ),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale_factor=1.0, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=8,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    batch_sampler=None,
    dataset=dict(**dataset, ann_file=train_annotations, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    dataset=dict(**dataset, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val.json', resamples=200)
test_evaluator = val_evaluator

# Of the settings that were tried the best from scratch, and nearly that from UM-MAE: see
# docs/recipes-for-your-domain.md.
optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=dict(layer_decay_rate=1.0))
max_iters, warm_up = 1600, 80
train_cfg = dict(
    _delete_=True, type='ResumableIterTrainLoop', max_iters=max_iters, val_interval=max_iters
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
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
    logger=dict(interval=50, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=250, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
