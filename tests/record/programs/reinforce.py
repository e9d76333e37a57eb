"""REINFORCE with a baseline on a corridor: loss of its own, no loader, no loss function of torch."""

import hashlib
import random

import torch
from torch import nn
from torch.distributions import Categorical


class Corridor:
    """Walk from the middle to the right end; a gust may move the walker."""

    def __init__(self, length, generator):
        self.length, self.generator = length, generator

    def reset(self):
        self.at, self.left = self.length // 2, 40
        return self.seen()

    def seen(self):
        return torch.tensor([self.at / self.length, self.left / 40, 1.0])

    def step(self, action):
        self.at += 1 if action == 1 else -1
        if self.generator.random() < 0.1:
            self.at -= 1
        self.left -= 1
        done = self.at <= 0 or self.at >= self.length or self.left == 0
        return self.seen(), (1.0 if self.at >= self.length else -0.01), done


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(3, 32), nn.Tanh())
        self.actor, self.critic = nn.Linear(32, 2), nn.Linear(32, 1)

    def forward(self, seen):
        hidden = self.trunk(seen)
        return Categorical(logits=self.actor(hidden)), self.critic(hidden).squeeze(-1)


def play(environment, policy):
    logs, values, rewards, done = [], [], [], False
    seen = environment.reset()
    while not done:
        choice, value = policy(seen)
        action = choice.sample()
        seen, reward, done = environment.step(action.item())
        logs.append(choice.log_prob(action))
        values.append(value)
        rewards.append(reward)
    return logs, values, rewards


def returns(rewards, discount=0.98):
    total, out = 0.0, []
    for reward in reversed(rewards):
        total = reward + discount * total
        out.append(total)
    return torch.tensor(out[::-1])


torch.manual_seed(18)
environment, policy = Corridor(8, random.Random(19)), Policy()
optimizer = torch.optim.Adam(policy.parameters(), lr=5e-3)
for _ in range(100):
    logs, values, rewards = play(environment, policy)
    gain, value = returns(rewards), torch.stack(values)
    advantage = gain - value.detach()
    loss = -(torch.stack(logs) * advantage).sum() + 0.5 * (gain - value).pow(2).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(len(rewards), loss.item().hex())
print(hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in policy.parameters())).hexdigest())
