"""Runs on this machine. Only the processes started here import torch, transformers and peft."""
