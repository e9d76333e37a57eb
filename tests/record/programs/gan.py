"""A generator and a discriminator, each with its optimizer; the discriminator is stepped twice as often."""

import hashlib
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Config:
    latent: int = 8
    width: int = 48
    rounds: int = 120
    batch: int = 32
    lr: float = 2e-4
    seed: int = 2


class Generator(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(config.latent, config.width), nn.BatchNorm1d(config.width), nn.ReLU(inplace=True)
        )
        self.head = nn.Linear(config.width, 2)

    def forward(self, z):
        return torch.tanh(self.head(self.body(z)))


class Discriminator(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, config.width), nn.LeakyReLU(0.2), nn.Linear(config.width, 1))

    def forward(self, x):
        return self.body(x).squeeze(1)


class Gan:
    def __init__(self, config):
        self.config = config
        self.generator, self.discriminator = Generator(config), Discriminator(config)
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), lr=config.lr, betas=(0.5, 0.999))
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), lr=config.lr, betas=(0.5, 0.999))
        self.loss = nn.BCEWithLogitsLoss()
        self.ones, self.zeros = torch.ones(config.batch), torch.zeros(config.batch)

    def real(self):
        angle = torch.rand(self.config.batch) * 6.2831853
        return torch.stack([angle.cos(), angle.sin()], 1) * 0.8

    def latent(self):
        return torch.randn(self.config.batch, self.config.latent)

    def train_discriminator(self):
        self.optimizer_d.zero_grad()
        with torch.no_grad():
            fake = self.generator(self.latent())
        loss_real = self.loss(self.discriminator(self.real()), self.ones)
        loss_fake = self.loss(self.discriminator(fake), self.zeros)
        loss_real.backward()
        loss_fake.backward()
        self.optimizer_d.step()
        return loss_real.item() + loss_fake.item()

    def train_generator(self):
        self.optimizer_g.zero_grad()
        loss = self.loss(self.discriminator(self.generator(self.latent())), self.ones)
        loss.backward()
        self.optimizer_g.step()
        return loss.item()

    def digest(self):
        sha = hashlib.sha256()
        for net in (self.generator, self.discriminator):
            for tensor in net.state_dict().values():
                sha.update(tensor.numpy().tobytes())
        return sha.hexdigest()


if __name__ == "__main__":
    config = Config()
    torch.manual_seed(config.seed)
    gan = Gan(config)
    for _ in range(config.rounds):
        losses = [gan.train_discriminator(), gan.train_discriminator(), gan.train_generator()]
        print(*(loss.hex() for loss in losses))
    print(gan.digest())
