# HTC with UM-MAE Swin-T on COCO, 36 epochs, with the semantic branch.
#
#   bash tools/dist_train.sh configs/detection/htc_um-swin-t_fpn_3x_coco.py 8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_swin_t/epoch_200.pth data_root=data/coco/
#
# Stuff maps are in data_root/stuffthingmaps/train2017; without them:
# htc-without-semantic_um-swin-t_fpn_3x_coco.py.
# Hardware: 8 GPUs x 2 images. The paper reports no
# such detector; not run here.
_base_ = ['mmdet::htc/htc_r50_fpn_1x_coco.py', '../_base_/detection_runtime.py']
model = dict(
    backbone=dict(_delete_=True, **_base_.um_swin_t),
    neck=dict(in_channels=[96, 96 * 2, 96 * 4, 96 * 8]),
)

train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[0] = dict(type='LoadImageStrict')
train_dataloader = dict(dataset=dict(type='CheckedCocoDataset', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type='CheckedCocoDataset', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='CheckedCocoMetric')
test_evaluator = val_evaluator

max_epochs = 36
train_cfg = dict(type='ResumableEpochTrainLoop', max_epochs=max_epochs)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, weight_decay=0.05),
    constructor='LayerDecayOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(
        type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[27, 33], gamma=0.1
    ),
]
default_hooks = _base_.fault_tolerant_hooks
visualizer = dict(vis_backends=_base_.fault_tolerant_backends)
log_processor = _base_.progress_log
