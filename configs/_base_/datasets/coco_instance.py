# mmdet's COCO, at 1333x800; a truncated file is named instead of trained on, and annotation files
# are read as docs/transfer.md says.
_base_ = 'mmdet::_base_/datasets/coco_instance.py'
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[0] = dict(type='LoadImageStrict')
train_dataloader = dict(dataset=dict(type='CheckedCocoDataset', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type='CheckedCocoDataset', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='CheckedCocoMetric')
test_evaluator = val_evaluator
