# Swin-T fine-tuned on ImageNet-1K from UM-MAE, 100 epochs at 256 px.
#
#   bash tools/dist_train.sh configs/classification/um-swin-tiny_8xb128-coslr-100e_in1k.py 8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_swin_t/epoch_200.pth data_root=FOLDER
#
# Tested as the authors test above 224 px: short side 256, crop 256.
# Hardware: 8 GPUs x 128 images. Top-1: 82.04 (the paper's, not run here).
_base_ = [
    '../_base_/datasets/labelled_256.py',
    '../_base_/schedules/finetune_100e.py',
    '../_base_/classification_runtime.py',
]
# A checkpoint of pre-training, ours or the authors'. None: from scratch.
pretrained = None

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='UMSwin',
        arch='tiny',
        window_size=16,  # 16 dense, after 8 on the compact image, where 8 tokens span 16
        drop_path_rate=0.1,
        norm_cfg=None,  # mean pool first, then LN
        init_cfg=dict(type='BackboneCheckpoint', checkpoint=pretrained),
    ),
    neck=dict(type='MeanPoolNorm', in_channels=96 * 2**3),
    head=dict(
        type='LinearClsHead',
        num_classes=_base_.num_classes,
        in_channels=96 * 2**3,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        init_cfg=dict(type='TruncNormal', layer='Linear', std=2e-5),
    ),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 256  # mmpretrain's is 292, MAE's ratio, which linear probe and k-NN keep
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
