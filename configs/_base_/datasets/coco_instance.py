# mmdet's COCO, at 1333x800; a truncated file is named instead of trained on.
_base_ = 'mmdet::_base_/datasets/coco_instance.py'
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[0] = dict(type='LoadImageStrict')
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
