"""k-NN in tools/test.py, and as an early sign of life during pre-training."""
import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS, LOOPS
from mmengine.runner import Runner, TestLoop

from mmum.engine.reliability.preemption import shield_workers
from mmum.models.downstream.knn import KNNClassifier


@LOOPS.register_module()
class KNNTestLoop(TestLoop):
    """mmengine's test loop; before it, a :class:`~mmum.models.downstream.knn.KNNClassifier` takes its labelled images.

    Args:
        bank_dataloader (dict): Of the labelled images.
        *args, **kwargs: Of mmengine's ``TestLoop``.
    """

    def __init__(self, runner, *args, bank_dataloader, **kwargs):
        super().__init__(runner, *args, **kwargs)
        self.bank_dataloader = runner.build_dataloader(bank_dataloader)

    def run(self):
        model = self.runner.model
        (model.module if is_model_wrapper(model) else model).fill_bank(self.bank_dataloader)
        return super().run()


@HOOKS.register_module()
class KNNHook(Hook):
    """Logs the k-NN accuracy of the dense backbone every few epochs of a pre-training: ``knn/top1``.

    Args:
        bank_dataloader (dict): Of labelled images to compare with.
        dataloader (dict): Of labelled images to classify.
        interval (int): Epochs between two, the last is included in any case. Defaults to 10.
        backbone (dict, optional): What is different in the backbone when dense, for example ``dict(window_size=16)``.
            Defaults to None: nothing.
        k (int): Neighbours. Defaults to 20.
        temperature (float): Of the votes. Defaults to 0.07.
    """
    priority = 'NORMAL'

    def __init__(self, bank_dataloader, dataloader, interval=10, backbone=None, k=20, temperature=0.07):
        self.bank_dataloader, self.dataloader, self.interval = bank_dataloader, dataloader, interval
        self.backbone, self.options = backbone or {}, dict(k=k, temperature=temperature)

    def before_train(self, runner):
        """Builds loaders and the dense twin of the backbone: what is wrong with them is said before hours are spent."""
        self.loaders = [Runner.build_dataloader(cfg, runner.seed) for cfg in (self.bank_dataloader, self.dataloader)]
        for loader in self.loaders:
            shield_workers(loader)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.classifier = KNNClassifier({**runner.cfg.model.backbone, **self.backbone, 'init_cfg': None}, **self.options)
        self.classifier.data_preprocessor = model.data_preprocessor
        self.classifier.to(next(model.parameters()).device)

    def after_train_epoch(self, runner):
        if not self.every_n_epochs(runner, self.interval) and not self.is_last_train_epoch(runner):
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.classifier.backbone.load_state_dict(model.backbone.state_dict())
        bank, loader = self.loaders
        self.classifier.fill_bank(bank)
        right = torch.zeros(2, device=self.classifier.bank.device)
        with torch.no_grad():
            for batch in loader:
                batch = self.classifier.data_preprocessor(batch, False)
                for sample in self.classifier.predict(**batch):
                    right += torch.tensor([float(sample.pred_label.cpu() == sample.gt_label.cpu()), 1.], device=right.device)
        all_reduce(right)
        top1 = 100 * float(right[0] / right[1])
        runner.message_hub.update_scalar('knn/top1', top1)
        runner.visualizer.add_scalar('knn/top1', top1, step=runner.epoch + 1)
        runner.logger.info(f'Epoch(knn) [{runner.epoch + 1}]  knn/top1: {top1:.2f}  ({int(right[1])} images, bank of '
                           f'{len(self.classifier.bank)}, k={self.classifier.k})')
