# What every pre-training shares.
_base_ = './default_runtime.py'
custom_hooks = [
    dict(type='ReconstructionHook', interval=10),
    # is it learning at all?
    dict(type='TrivialAnswersHook', interval=10),
    # on a GPU: model FLOP utilisation
    dict(type='UtilisationHook'),
]
