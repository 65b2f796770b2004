# SimMIM with the very small Swin of um_mae_swin_nano_nuclei.py, on the same images, crops and
# schedule: the study's baseline.
#
#   python tools/train.py configs/selfsup/simmim_um_swin_nano_nuclei.py --amp
#
# Hardware: 2 CPU cores, or a GPU.
_base_ = './um_mae_swin_nano_nuclei.py'
model = dict(
    _delete_=True,
    type='SimMIM',
    # window 8, that of the detectors at this image size
    backbone={**_base_.model.backbone, 'compact': False, 'dense_window_size': None},
    neck=dict(type='SimMIMLinearDecoder', in_channels=48 * 2**3, encoder_stride=32),
    head=dict(
        type='SimMIMHead',
        patch_size=16,
        loss=dict(type='PixelReconstructionLoss', criterion='L1', channel=3),
    ),
)
train_pipeline = [
    *_base_.train_pipeline[:-2],
    dict(type='RandomMask', input_size=128, unit=16, mask_ratio=0.75),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
# the SimMIM of mmpretrain predicts nothing while testing
test_dataloader = None
test_evaluator = None
test_cfg = None
