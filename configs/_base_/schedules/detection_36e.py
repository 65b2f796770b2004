# The Swin paper's 3x: as 1x, 36 epochs with steps at 27 and 33.
_base_ = './detection_12e.py'
max_epochs = 36
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(
        type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[27, 33], gamma=0.1
    ),
]
train_cfg = dict(max_epochs=max_epochs)
