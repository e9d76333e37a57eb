"""A convolutional network, SGD with momentum, a scheduler, an evaluation after each epoch."""

import hashlib

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def make_net():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 16, 32),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(32, 4),
    )


def evaluate(net, loader):
    net.eval()
    right, total = 0, 0.0
    with torch.no_grad():
        for x, y in loader:
            out = net(x)
            total += F.cross_entropy(out, y, reduction="sum").item()
            right += (out.argmax(1) == y).sum().item()
    net.train()
    return total, right


def digest(net):
    sha = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        sha.update(name.encode())
        sha.update(tensor.contiguous().numpy().tobytes())
    return sha.hexdigest()


torch.manual_seed(0)
labels = torch.randint(0, 4, (512,))
images = torch.randn(512, 1, 8, 8) + labels.view(-1, 1, 1, 1) * 0.3
train = DataLoader(TensorDataset(images[:384], labels[:384]), batch_size=16, shuffle=True)
held_out = DataLoader(TensorDataset(images[384:], labels[384:]), batch_size=64)
net = make_net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
for epoch in range(5):
    for x, y in train:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        print(loss.item().hex())
    scheduler.step()
    total, right = evaluate(net, held_out)
    print("epoch", epoch, total.hex(), right, scheduler.get_last_lr())
print(digest(net))
