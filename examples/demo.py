"""Train a small network on handwritten digits. It has one fault; `make demo` lets unbug find it.

Nothing here knows of unbug: no import, no callback, no logging.
"""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Classifier(nn.Module):
    """Two hidden layers; gives a probability for each of the ten digits."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.head = nn.Linear(width, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.head(self.body(pixels)), dim=1)


def accuracy(model: nn.Module, pixels: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of images whose digit the model gets right."""
    model.eval()
    with torch.no_grad():
        return (model(pixels).argmax(dim=1) == labels).float().mean().item()


def main(epochs: int = 20) -> None:
    torch.manual_seed(0)
    digits = load_digits()
    pixels = torch.tensor(digits.data / 16.0, dtype=torch.float32)
    labels = torch.tensor(digits.target)
    split = train_test_split(pixels, labels, test_size=0.25, random_state=0, stratify=labels)
    train_pixels, test_pixels, train_labels, test_labels = split

    loader = DataLoader(TensorDataset(train_pixels, train_labels), batch_size=32, shuffle=True)
    model = Classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    criterion = nn.CrossEntropyLoss()

    for epoch in range(epochs):
        model.train()
        total = 0.0
        for batch, target in loader:
            optimizer.zero_grad()
            loss = criterion(model(batch), target)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(target)
        if epoch % 5 == 4:
            reached = accuracy(model, test_pixels, test_labels)
            print(f"epoch {epoch + 1:3d}  loss {total / len(train_labels):.3f}  test accuracy {reached:.3f}")


if __name__ == "__main__":
    main()
