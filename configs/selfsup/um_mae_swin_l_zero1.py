# UM-MAE Swin-L with ZeRO-1: every GPU keeps the moments of its share of the weights alone.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_swin_l_zero1.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. The same losses as um_mae_swin_l.py; memory and speed: docs/scaling.md. Not run
# here at this size.
_base_ = './um_mae_swin_l.py'
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True,
        type='ShardedOptimizer',
        optimizer_type='AdamW',
        lr=1.5e-4 * 4096 / 256,
        betas=(0.9, 0.95),
        weight_decay=0.05,
    )
)
