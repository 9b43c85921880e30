"""The network: MiniLM's encoder, the mean over its tokens, and one linear layer."""

from pathlib import Path

import torch
from torch import nn
from transformers import BertConfig, BertModel

CLASSES = 2


class SentimentNetwork(nn.Module):
    """Logits for a padded batch of token ids; 1 in the mask is a token, 0 is padding."""

    def __init__(self, encoder: BertModel, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, CLASSES)

    @classmethod
    def from_pretrained(cls, weights: Path, dropout: float) -> "SentimentNetwork":
        config = BertConfig.from_pretrained(
            weights, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
        )
        encoder = BertModel.from_pretrained(
            weights, config=config, add_pooling_layer=False, attn_implementation="eager"
        )
        return cls(encoder, dropout)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        tokens = self.encoder(input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(tokens.dtype)
        mean = (tokens * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
        return self.head(self.dropout(mean))
