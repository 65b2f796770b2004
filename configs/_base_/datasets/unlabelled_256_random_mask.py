# The images and crops of unlabelled_256.py with units masked at random, for SimMIM.
_base_ = './unlabelled_256.py'
train_pipeline = [
    *_base_.train_pipeline[:-2],
    dict(type='RandomMask', input_size=256, unit=16, mask_ratio=0.75),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
# the SimMIM of mmpretrain predicts nothing while testing
test_dataloader = None
test_evaluator = None
test_cfg = None
