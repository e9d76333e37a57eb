"""Gradient accumulation over four micro-batches, clipped by norm; an incomplete last group is stepped too."""

import argparse
import hashlib

import torch
from torch import nn


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--accumulate", type=int, default=4)
    parser.add_argument("--micro-batches", type=int, default=402)
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main():
    args = parse()
    torch.manual_seed(args.seed)
    net = nn.Sequential(nn.Linear(20, 64), nn.GELU(), nn.LayerNorm(64), nn.Linear(64, 3))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    teacher = torch.randn(20, 3)
    optimizer.zero_grad(set_to_none=True)
    for micro in range(args.micro_batches):
        x = torch.randn(32, 20)
        loss = criterion(net(x), (x @ teacher).argmax(1)) / args.accumulate
        loss.backward()
        if (micro + 1) % args.accumulate == 0 or micro + 1 == args.micro_batches:
            norm = torch.nn.utils.clip_grad_norm_(net.parameters(), args.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            print(micro, loss.item().hex(), norm.item().hex())
    sha = hashlib.sha256()
    for parameter in net.parameters():
        sha.update(parameter.detach().numpy().tobytes())
    for state in optimizer.state.values():
        sha.update(state["exp_avg_sq"].numpy().tobytes())
    print(sha.hexdigest())


if __name__ == "__main__":
    main()
