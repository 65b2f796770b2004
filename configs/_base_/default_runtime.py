# What every run shares, whatever it trains. Nothing here changes results but the seed.
custom_imports = dict(imports=['mmum'], allow_failed_imports=False)
default_scope = 'mmpretrain'
# atomic checkpoints, exact resume, signals, roll-back: see docs/reliability.md
runner_type = 'FaultTolerantRunner'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # a power cut costs an epoch
    checkpoint=dict(type='AtomicCheckpointHook', interval=1, max_keep_ckpts=3, save_last=True),
    checkpoint_match=dict(type='CheckpointMatchHook'),
    preemption=dict(type='PreemptionHook'),
    non_finite_grad=dict(type='NonFiniteGradHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)

env_cfg = dict(
    cudnn_benchmark=True,  # one input size
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),  # gloo where there is no GPU
)
visualizer = dict(
    type='UniversalVisualizer', vis_backends=[dict(type='FaultTolerantLocalVisBackend')]
)
log_processor = dict(type='ProgressLogProcessor', window_size=50)
log_level = 'INFO'
load_from = None
resume = False
# ranks draw different masks and crops even when they load in the main process
randomness = dict(seed=0, diff_rank_seed=True)
