# ViT-B fine-tuned on ImageNet-1K from UM-MAE, 100 epochs at 224 px.
#
#   bash tools/dist_train.sh configs/classification/um-vit-base_8xb128-coslr-100e_in1k.py 8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_vit_b/epoch_200.pth data_root=FOLDER
#
# Hardware: 8 GPUs x 128 images. Top-1: 82.88 (the paper's, not run here).
_base_ = './um-swin-tiny_8xb128-coslr-100e_in1k.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='UMViT',
        arch='base',
        img_size=224,
        learn_positions=True,
        out_type='avg_featmap',
        drop_path_rate=0.1,
        norm_cfg=None,
        init_cfg=_base_.model.backbone.init_cfg,
    ),
    neck=dict(in_channels=768),
    head=dict(in_channels=768),
)
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[1].scale = 224
test_pipeline[1].scale, test_pipeline[2].crop_size = 256, 224
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
