"""The training core. Only the processes started here import torch, transformers and peft."""
