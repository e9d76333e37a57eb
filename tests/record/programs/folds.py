"""Five folds: a new model and optimizer each, trained one after the other by one trainer class."""

import hashlib

import torch
from torch import nn


class FoldTrainer:
    def __init__(self, fold, x, y):
        self.fold = fold
        held = torch.arange(len(x)) % 5 == fold
        self.train_set, self.held_out = (x[~held], y[~held]), (x[held], y[held])
        self.net = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 1))
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.05, nesterov=True, momentum=0.9)

    def fit(self, epochs):
        x, y = self.train_set
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(20):
                loss = nn.functional.l1_loss(self.net(x[rows]), y[rows])
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
            print(self.fold, loss.item().hex(), self.score().hex())
        return self

    @torch.inference_mode()
    def score(self):
        self.net.eval()
        value = nn.functional.mse_loss(self.net(self.held_out[0]), self.held_out[1]).item()
        self.net.train()
        return value


def main():
    torch.manual_seed(21)
    x = torch.randn(200, 6)
    y = x.pow(2).sum(1, keepdim=True).sqrt()
    sha = hashlib.sha256()
    for fold in range(5):
        trainer = FoldTrainer(fold, x, y).fit(4)
        for parameter in trainer.net.parameters():
            sha.update(parameter.detach().numpy().tobytes())
    print(sha.hexdigest())


main()
