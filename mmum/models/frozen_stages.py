"""Freezing of the first stages or blocks, for every backbone of mmum."""


class FrozenStages:
    """Mixin: the parts of a backbone that ``frozen_stages`` names do not learn, and stay in evaluation mode.

    A backbone has ``frozen_stages`` (int: -1 for nothing, 0 for the embedding, i for i stages after it), and says what its
    parts are (:meth:`embedding`, :meth:`freezable_stages`). Output norms are ``norm0``, ``norm1``, ...
    """

    def embedding(self):
        """Modules and parameters (list) of the embedding."""
        raise NotImplementedError

    def freezable_stages(self):
        """What counts as a stage: an ``nn.ModuleList``."""
        raise NotImplementedError

    def train(self, mode=True):
        """Frozen stages stay in evaluation mode."""
        super().train(mode)
        self.freeze_stages()
        return self

    def freeze_stages(self):
        """Freezes what ``frozen_stages`` says."""
        if self.frozen_stages < 0:
            return
        norms = [getattr(self, f'norm{i}') for i in range(self.frozen_stages) if hasattr(self, f'norm{i}')]
        for part in (*self.embedding(), *self.freezable_stages()[:self.frozen_stages], *norms):
            part.requires_grad_(False)
            if hasattr(part, 'eval'):
                part.eval()
