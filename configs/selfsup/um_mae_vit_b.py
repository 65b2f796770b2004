# UM-MAE ViT-B, 200 epochs on unlabelled images at 224 px.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_vit_b.py 8 --amp --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. ImageNet-1K top-1 after fine-tuning: 82.88 (the paper's, not run here).
_base_ = './um_mae_swin_t.py'
model = dict(
    backbone=dict(_delete_=True, type='UMViT', arch='base', img_size=224, out_type='raw'),
    neck=dict(in_channels=768, stride=16),
)
train_pipeline = [
    dict(type='LoadCropResize', scale=224, crop_ratio_range=(0.2, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='UniformMask', input_size=224, stride=16),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=224, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='UniformMask', input_size=224, stride=16),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
