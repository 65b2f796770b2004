# UM-MAE Swin-L, 800 epochs on unlabelled images at 256 px.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_swin_l.py 8 --amp --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. ImageNet-1K top-1 after fine-tuning: 85.2 (the paper's, not run here).
_base_ = './um_mae_swin_t.py'
model = dict(
    backbone=dict(arch='large', pos_mlp_dims=64), neck=dict(in_channels=192 * 2**3, depth=8)
)
# 8 GPUs x 128 images x 4 accumulated steps = 4096
train_dataloader = dict(batch_size=128)
optim_wrapper = dict(accumulative_counts=4)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=40,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        T_max=760,
        eta_min=0.0,
        by_epoch=True,
        begin=40,
        end=800,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=800)
