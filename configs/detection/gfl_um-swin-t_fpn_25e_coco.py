# GFL with UM-MAE Swin-T on COCO, 25 epochs at 1024 px with large-scale jitter, as the authors ran
# it.
#
#   bash tools/dist_train.sh configs/detection/gfl_um-swin-t_fpn_25e_coco.py 8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_swin_t/epoch_200.pth data_root=data/coco/
#
# As the authors ran it, but for one thing: they put a Linear to 768 channels after every stage.
# Here FPN takes the stages as they are: its 1x1 convolution follows at once, and two linear maps in
# a row are one (the batch norm comes after both). The authors start from weights fine-tuned on
# ImageNet-1K. Tested at 1333x800, as theirs.
# Hardware: 8 GPUs x 2 images. The authors' README
# prints AP of HTC++ only; not run here.
_base_ = ['mmdet::gfl/gfl_r50_fpn_1x_coco.py', '../_base_/detection_runtime.py']
# the first stage is not used
model = dict(
    backbone={
        **_base_.um_swin_t,
        'out_indices': (1, 2, 3),
        'drop_path_rate': 0.1,  # theirs
        '_delete_': True,
    },
    neck=dict(
        in_channels=[96 * 2, 96 * 4, 96 * 8],
        start_level=0,
        norm_cfg=dict(type='BN', requires_grad=True),
    ),
)

train_pipeline = [
    dict(type='LoadImageStrict'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomResize', scale=(1024, 1024), ratio_range=(0.1, 2.0), keep_ratio=True),
    dict(
        type='RandomCrop',
        crop_type='absolute_range',
        crop_size=(1024, 1024),
        recompute_bbox=True,
        allow_negative_crop=True,
    ),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2)),
    dict(type='PackDetInputs'),
]
test_pipeline = _base_.test_pipeline
train_dataloader = dict(dataset=dict(type='CheckedCocoDataset', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type='CheckedCocoDataset', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='CheckedCocoMetric')
test_evaluator = val_evaluator

max_epochs = 25
train_cfg = dict(type='ResumableEpochTrainLoop', max_epochs=max_epochs)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, weight_decay=0.05),
    constructor='LayerDecayOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=2000),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs,
        eta_min=1e-4 * 0.01,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
default_hooks = _base_.fault_tolerant_hooks
default_hooks.checkpoint.save_best = 'coco/bbox_mAP'
visualizer = dict(vis_backends=_base_.fault_tolerant_backends)
log_processor = _base_.progress_log
sync_bn = 'torch'  # batch norms over all GPUs
