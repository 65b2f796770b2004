# What every classification shares.
_base_ = './default_runtime.py'
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=2, save_best='accuracy/top1', rule='greater')
)
