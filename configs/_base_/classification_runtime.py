# What every classification shares; nothing here changes results but the seed.
_base_ = './selfsup_runtime.py'
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=2, save_best='accuracy/top1', rule='greater'))
custom_hooks = []
