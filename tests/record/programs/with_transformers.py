"""Transformers' Trainer on a GPT-2 of two layers made from its configuration; no hub, no reporting."""

import hashlib
import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


class Loud(Trainer):
    def compute_loss(self, *args, **kwargs):
        loss = super().compute_loss(*args, **kwargs)
        print((loss[0] if isinstance(loss, tuple) else loss).item().hex())
        return loss


class GradientNorms(TrainerCallback):
    def on_log(self, args, state, control, logs=None, **kwargs):
        if "grad_norm" in logs:
            print(state.global_step, float(logs["grad_norm"]).hex(), logs["learning_rate"])


def main():
    torch.manual_seed(15)
    config = GPT2Config(
        vocab_size=50, n_positions=16, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=1
    )
    model = GPT2LMHeadModel(config)
    rows = [{"input_ids": row, "labels": row} for row in torch.randint(0, 50, (96, 12))]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=2,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=2,
            learning_rate=1e-3,
            logging_steps=4,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
            seed=16,
        )
        trainer = Loud(
            model=model,
            args=arguments,
            train_dataset=rows,
            eval_dataset=rows[:16],
            callbacks=[GradientNorms()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        print(trainer.evaluate()["eval_loss"].hex())
    sha = hashlib.sha256()
    for tensor in model.state_dict().values():
        sha.update(tensor.contiguous().numpy().tobytes())
    print(sha.hexdigest())


if __name__ == "__main__":
    main()
