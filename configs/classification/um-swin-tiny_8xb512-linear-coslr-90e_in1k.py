# Linear probe of Swin-T on ImageNet-1K after UM-MAE: a linear layer on frozen features, 90 epochs
# at 256 px.
#
#   bash tools/dist_train.sh configs/classification/um-swin-tiny_8xb512-linear-coslr-90e_in1k.py 8 \
#       --amp \
#       --cfg-options pretrained=work_dirs/um_mae_swin_t/epoch_200.pth data_root=FOLDER
#
# Hardware: 8 GPUs x 512 images x 4 accumulated steps. The paper does not report it; not run here.
_base_ = [
    '../_base_/datasets/labelled_256.py',
    '../_base_/schedules/linear_90e.py',
    '../_base_/classification_runtime.py',
]
# A checkpoint of pre-training, ours or the authors'.
pretrained = None

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='UMSwin',
        arch='tiny',
        window_size=16,
        frozen_stages=4,  # all
        init_cfg=dict(type='BackboneCheckpoint', checkpoint=pretrained),
    ),
    # MAE's: batch norm without affine parameters brings features of any scale to one learning rate
    neck=dict(
        type='MeanPoolNorm',
        in_channels=96 * 2**3,
        norm_cfg=dict(type='BN1d', affine=False, eps=1e-6),
    ),
    head=dict(
        type='LinearClsHead',
        num_classes=_base_.num_classes,
        in_channels=96 * 2**3,
        loss=dict(type='CrossEntropyLoss'),
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.01),
    ),
)
train_pipeline = [*_base_.train_pipeline[:3], dict(type='PackInputs')]  # crop and flip
# 8 GPUs x 512 images x 4 accumulated steps = 16384
train_dataloader = dict(batch_size=512, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(accumulative_counts=4)
