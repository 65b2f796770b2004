# ImageNet, or images of your own in train/CLASS/ and val/CLASS/, at 256 px: mmpretrain's Swin
# pipeline, which is the paper's (RandAugment m9, random erasing .25). The lines to change, or
# --cfg-options data_root=FOLDER num_classes=N.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs64_swin_256.py'
data_root = 'data/imagenet'
num_classes = 1000

data_preprocessor = dict(num_classes=num_classes)
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
# a truncated file is named instead of trained on
train_pipeline[0] = dict(type='LoadImageStrict')
train_dataloader = dict(
    batch_size=128,  # 8 GPUs x 128 images = 1024
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        _delete_=True,
        type='LabelledImages',
        data_root=data_root,
        data_prefix='train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=128,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        _delete_=True,
        type='LabelledImages',
        data_root=data_root,
        data_prefix='val',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
