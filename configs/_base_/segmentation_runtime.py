# What every segmentation shares beside its model: the run, and the backbones of UPerNet.
_base_ = 'mmseg::_base_/default_runtime.py'
custom_imports = dict(imports=['mmum'], allow_failed_imports=False)
# atomic checkpoints, exact resume, signals, roll-back: see docs/reliability.md
runner_type = 'FaultTolerantRunner'
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='AtomicCheckpointHook',
        by_epoch=False,
        interval=16000,
        max_keep_ckpts=2,
        save_best='mIoU',
        rule='greater',
    ),
    checkpoint_match=dict(type='CheckpointMatchHook'),
    preemption=dict(type='PreemptionHook'),
    non_finite_grad=dict(type='NonFiniteGradHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
# truth and prediction of four images at every validation, beside the curves: see mmum report
custom_hooks = [dict(type='SegmentationPicturesHook', max_images=4)]
visualizer = dict(vis_backends=[dict(type='FaultTolerantLocalVisBackend')], alpha=0.6)
# images/s, and the share of waiting for data
log_processor = dict(_delete_=True, type='ProgressLogProcessor', by_epoch=False)

# The one line of every leaf: a checkpoint of pre-training (ours or the authors'), fine-tuned or
# not. None: from scratch.
pretrained = None
_start = dict(type='BackboneCheckpoint', checkpoint=pretrained)
_all = (0, 1, 2, 3)

um_swin_t = dict(
    type='UMSwin',
    arch='tiny',
    window_size=16,  # 16 dense, after 8 on the compact image, where 8 tokens span 16
    drop_path_rate=0.1,
    out_indices=_all,
    norm_cfg=None,  # the heads normalise
    pad_small_map=False,  # the authors' rule where crops have one size, as in classification
    init_cfg=_start,
)
um_pvt_s = dict(
    type='UMPVT',
    arch='small',
    sr_ratios=(8, 4, 2, 1),  # dense, after (4, 2, 1, 1) on the compact image
    learn_positions=True,  # start from those of a fine-tuned file, or as sin-cos
    img_size=512,  # of a crop: the positions of a file are resized while loading
    drop_path_rate=0.1,
    out_indices=_all,
    norm_cfg=None,
    init_cfg=_start,
)
stock_swin_t = dict(
    type='UMStockSwin',
    arch='tiny',
    window_size=7,  # tables of another window are resized while loading
    drop_path_rate=0.3,
    out_indices=_all,
    pad_small_map=True,  # as mmseg's own
    init_cfg=_start,
)
