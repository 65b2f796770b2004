# SimMIM as Microsoft published it, on the stock Swin-T: 192 px, window 6, units of 32 px, 60 %
# masked.
#
#   bash tools/dist_train.sh configs/selfsup/simmim_swin_t_192px.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs x 256 images. Microsoft's sizes are Swin-B and larger; not run here.
_base_ = './simmim_swin_t.py'
model = dict(
    backbone=dict(img_size=192, stage_cfgs=dict(block_cfgs=dict(window_size=6))),
)
train_pipeline = [
    dict(type='LoadCropResize', scale=192, crop_ratio_range=(0.67, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='SimMIMMaskGenerator',
        input_size=192,
        mask_patch_size=32,
        model_patch_size=4,
        mask_ratio=0.6,
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(batch_size=256, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    accumulative_counts=1,
    optimizer=dict(lr=2e-4 * 2048 / 512, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-6 / 2e-4,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        T_max=90,
        eta_min=1e-5 * 2048 / 512,
        by_epoch=True,
        begin=10,
        end=100,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=100)
auto_scale_lr = dict(enable=False, base_batch_size=2048)
