# UM-MAE Swin-L with DeepSpeed's ZeRO-2: gradients and moments are sharded over the GPUs.
#
#   pip install 'deepspeed<0.19'
#   bash tools/dist_train.sh configs/selfsup/um_mae_swin_l_deepspeed.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. The same losses as um_mae_swin_l.py. A checkpoint is a folder, and goes wherever
# a file does (pretrained=work_dirs/um_mae_swin_l_deepspeed/epoch_800.pth). Not run here at this
# size; docs/scaling.md.
_base_ = './um_mae_swin_l.py'
runner_type = 'FaultTolerantFlexibleRunner'
strategy = dict(type='ZeROStrategy', zero_optimization=dict(stage=2))
