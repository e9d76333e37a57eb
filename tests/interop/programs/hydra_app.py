"""A program that Hydra configures; it also reads a configuration of its own."""

import hydra
import torch
from omegaconf import DictConfig, OmegaConf


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    more = OmegaConf.merge(OmegaConf.create({"batch": 4}), {"epochs": 2})
    torch.manual_seed(config.seed)
    model = torch.nn.Linear(config.model.width, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=config.optimizer.lr)
    for _ in range(more.epochs * 3):
        loss = model(torch.randn(more.batch, config.model.width)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


if __name__ == "__main__":
    main()
