"""Transformers' Trainer on a tiny GPT-2 made here, with dataclasses for arguments, and checkpoints."""

import sys
from dataclasses import dataclass, field

import torch
from transformers import GPT2Config, GPT2LMHeadModel, HfArgumentParser, Trainer, TrainingArguments


@dataclass
class ModelArguments:
    layers: int = field(default=1)
    heads: int = field(default=2)
    service_token: str = field(default="")


class Data(torch.utils.data.Dataset):
    def __init__(self) -> None:
        self.ids = torch.randint(0, 50, (32, 12), generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index):
        return {"input_ids": self.ids[index], "labels": self.ids[index]}


def main() -> None:
    sizes, training = HfArgumentParser((ModelArguments, TrainingArguments)).parse_args_into_dataclasses()
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=50, n_positions=16, n_embd=16, n_layer=sizes.layers, n_head=sizes.heads,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    trainer = Trainer(model=GPT2LMHeadModel(config), args=training, train_dataset=Data(), eval_dataset=Data())
    trainer.train()
    again = GPT2LMHeadModel.from_pretrained(f"{training.output_dir}/checkpoint-8")
    wider = GPT2Config(**{**config.to_dict(), "n_layer": 2})
    GPT2LMHeadModel.from_pretrained(f"{training.output_dir}/checkpoint-8", config=wider)
    again.save_pretrained(f"{training.output_dir}/final")


if __name__ == "__main__":
    main()
    sys.exit(0)
