"""What can be known to be wrong before training starts."""


def preflight(cfg):
    pass
