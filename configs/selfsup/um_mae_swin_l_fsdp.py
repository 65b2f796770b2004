# UM-MAE Swin-L with FSDP: weights, gradients and moments are sharded over the GPUs, block by block.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_swin_l_fsdp.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. The same losses as um_mae_swin_l.py; memory and speed: docs/scaling.md. Not run
# here at this size.
_base_ = './um_mae_swin_l.py'
runner_type = 'FaultTolerantFlexibleRunner'
strategy = dict(
    type='ResumableFSDPStrategy',
    state_dict_cfg='full',  # one file, as any other
    model_wrapper=dict(
        type='MMFullyShardedDataParallel',
        use_orig_params=True,  # weight decay by parameter
        auto_wrap_policy='wrap_blocks',
    ),
)
# its pictures would need all weights in one place
custom_hooks = []
