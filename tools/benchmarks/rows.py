"""Rows of the studies on nuclei: starts, changes of a pre-training, weights that are adapted."""

SUPERVISED = 'classification/um-swin-nano_mini.py'
# start of the detector -> its pre-training with the same backbone, on the same images; the
# supervised one knows only the digits of the mini set
STARTS = {
    'scratch': None,
    'um_mae': 'selfsup/um_mae_swin_nano_nuclei.py',
    'two_stages': 'selfsup/um_mae_swin_nano_nuclei_two_stages.py',
    'local': 'selfsup/um_mae_swin_nano_nuclei_local.py',
    'cross': 'selfsup/um_cross_mae_swin_nano_nuclei.py',
    'simmim': 'selfsup/simmim_um_swin_nano_nuclei.py',
    'supervised': SUPERVISED,
}
NAMES = dict(
    scratch='from scratch',
    um_mae='UM-MAE',
    two_stages='UM-MAE, decoder of two stages',
    local='UM-MAE, local decoder of two stages',
    cross='UM-MAE, cross-attention decoder',
    simmim='SimMIM',
    supervised='supervised on digits',
)
# row -> the trainings before the detector, with the stock Swin
ADAPTING = {
    'from scratch': (),
    'supervised on digits': ('classification/swin-nano_mini.py',),
    'UM-MAE on nuclei': ('selfsup/um_mae_stock_swin_nano_nuclei_adapt.py',),
    'supervised on digits, then UM-MAE on nuclei': (
        'classification/swin-nano_mini.py',
        'selfsup/um_mae_stock_swin_nano_nuclei_adapt.py',
    ),
}
# row -> start of the detector (a key of STARTS), --cfg-options of the pre-training, or of the
# detector where there is none: one change a row, or two
ABLATIONS = {
    'decoder of two stages': ('two_stages', ()),
    'cross-attention decoder': ('cross', ()),
    'pixels for normalised pixels': ('um_mae', ('model.head.norm_pix=False',)),
    'decoder of two stages, pixels': ('two_stages', ('model.head.norm_pix=False',)),
    'cross-attention decoder, pixels': ('cross', ('model.head.norm_pix=False',)),
    'no secondary masking': (
        'um_mae',
        ('train_dataloader.dataset.pipeline.3.secondary_ratio=0.0',),
    ),
    'secondary ratio 0.15': (
        'um_mae',
        ('train_dataloader.dataset.pipeline.3.secondary_ratio=0.15',),
    ),
    'secondary ratio 0.35': (
        'um_mae',
        ('train_dataloader.dataset.pipeline.3.secondary_ratio=0.35',),
    ),
    'secondary ratio 0.5': ('um_mae', ('train_dataloader.dataset.pipeline.3.secondary_ratio=0.5',)),
    "positions as in the authors' code": ('um_mae', ('model.neck.visible_positions=official',)),
    'decoder depth 1': ('um_mae', ('model.neck.depth=1',)),
    'decoder depth 4': ('um_mae', ('model.neck.depth=4',)),
    'crops of 10 to 50 %': (
        'um_mae',
        ('train_dataloader.dataset.pipeline.1.crop_ratio_range=(0.1,0.5)',),
    ),
    'learning rate 1e-3': ('um_mae', ('optim_wrapper.optimizer.lr=0.001',)),
    'learning rate 2.5e-4': ('um_mae', ('optim_wrapper.optimizer.lr=0.00025',)),
    'decoder of two stages, learning rate 1e-3': (
        'two_stages',
        ('optim_wrapper.optimizer.lr=0.001',),
    ),
    'decoder of two stages, learning rate 2e-3': (
        'two_stages',
        ('optim_wrapper.optimizer.lr=0.002',),
    ),
    'decoder of two stages, learning rate 2.5e-4': (
        'two_stages',
        ('optim_wrapper.optimizer.lr=0.00025',),
    ),
    'decoder of two stages, learning rate 1e-4': (
        'two_stages',
        ('optim_wrapper.optimizer.lr=0.0001',),
    ),
    'local decoder of two stages': ('local', ()),
    'local decoder': ('um_mae', ('model.neck.distance_bias=2',)),
    'local cross-attention decoder': ('cross', ('model.neck.distance_bias=2',)),
    'SimMIM': ('simmim', ()),
    'SimMIM, learning rate 1e-3': ('simmim', ('optim_wrapper.optimizer.lr=0.001',)),
    'SimMIM, learning rate 2.5e-4': ('simmim', ('optim_wrapper.optimizer.lr=0.00025',)),
    'SimMIM, learning rate 1e-4': ('simmim', ('optim_wrapper.optimizer.lr=0.0001',)),
    'decoder of two stages, batches of 16': ('two_stages', ('train_dataloader.batch_size=16',)),
    "Swin's initialisation": ('um_mae', ('model.backbone.weight_init=trunc_normal',)),
    "from scratch, Swin's initialisation": (
        'scratch',
        ('model.backbone.weight_init=trunc_normal',),
    ),
}
# rows of UM-MAE: their pre-trainings log trivial answers beside the loss
UM_ROWS = tuple(row for row, (start, _) in ABLATIONS.items() if start not in ('scratch', 'simmim'))
