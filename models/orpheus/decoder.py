"""One token at a time through an Orpheus model, with a key-value cache.

The same arithmetic as x-transformers' own forward pass (a test compares them), with its per-call
overhead left out: pre-norm layers of attention (rotary embedding on half of each head's dimensions,
interleaved) and GELU feed-forward. Not thread-safe; not real-time safe.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from models.orpheus.checkpoint import HEAD_DIM, Checkpoint

HIDDEN_EPSILON = 1e-5


class Decoder:
    """feed() tokens, then read logits() of any rows of the output layer."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        net = checkpoint.model.net
        self.context = checkpoint.context
        self.embedding: torch.Tensor = net.token_emb.emb.weight
        self.output: torch.Tensor = net.to_logits.weight
        blocks = list(net.attn_layers.layers)
        self.layers = [
            (self._gain(a[0][0]), a[1], self._gain(f[0][0]), f[1].ff)
            for a, f in zip(blocks[::2], blocks[1::2], strict=True)
        ]
        self.final = self._gain(net.attn_layers.final_norm)
        self.heads = self.layers[0][1].to_q.weight.shape[0] // HEAD_DIM
        inv_freq = net.attn_layers.rotary_pos_emb.inv_freq
        angles = torch.outer(torch.arange(self.context, dtype=torch.float32), inv_freq)
        self.turns = torch.polar(torch.ones_like(angles), angles)  # (context, rotated / 2)
        self.rotated = 2 * inv_freq.shape[0]
        shape = (len(self.layers), 2, self.heads, self.context, HEAD_DIM)
        self.cache = torch.zeros(shape)
        self.tokens: list[int] = []
        self.hidden = torch.zeros(self.embedding.shape[1])

    @staticmethod
    def _gain(norm: Any) -> torch.Tensor:
        """A layer norm's gain: stored less one in this architecture."""
        return norm.gamma + float(norm.unit_offset)

    def reset(self) -> None:
        self.tokens = []

    @torch.inference_mode()
    def feed(self, tokens: list[int]) -> None:
        """Hear tokens. When the context is full, the older half is forgotten."""
        if len(self.tokens) + len(tokens) > self.context:
            keep = (self.tokens + tokens)[-(self.context // 2) :]
            self.tokens, tokens = [], keep
        past, count = len(self.tokens), len(tokens)
        x = self.embedding[torch.tensor(tokens)]
        turn = self.turns[past : past + count]
        for i, (attention_gain, attention, forward_gain, forward) in enumerate(self.layers):
            x = x + self._attend(i, self._norm(x, attention_gain), attention, turn, past)
            x = x + forward(self._norm(x, forward_gain))
        self.tokens = self.tokens + tokens
        self.hidden = self._norm(x[-1], self.final)

    def _norm(self, x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, (x.shape[-1],), gain, None, HIDDEN_EPSILON)

    def _turn(self, x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        """Rotary embedding of (heads, tokens, HEAD_DIM)."""
        pairs = x[..., : self.rotated].unflatten(-1, (-1, 2)).contiguous()
        turned = torch.view_as_real(torch.view_as_complex(pairs) * turn).flatten(-2)
        return torch.cat((turned, x[..., self.rotated :]), dim=-1)

    def _attend(
        self, layer: int, x: torch.Tensor, attention: Any, turn: torch.Tensor, past: int
    ) -> torch.Tensor:
        count = x.shape[0]

        def split(weight: torch.Tensor) -> torch.Tensor:
            return F.linear(x, weight).view(count, self.heads, HEAD_DIM).transpose(0, 1)

        q = self._turn(split(attention.to_q.weight), turn)
        keys, values = self.cache[layer]
        keys[:, past : past + count] = self._turn(split(attention.to_k.weight), turn)
        values[:, past : past + count] = split(attention.to_v.weight)
        end = past + count
        mask = None
        if count > 1:
            mask = torch.ones(count, end, dtype=torch.bool).tril(past)
        heard = F.scaled_dot_product_attention(
            q[None], keys[None, :, :end], values[None, :, :end], attn_mask=mask
        )[0]
        joined: torch.Tensor = attention.to_out(heard.transpose(0, 1).reshape(count, -1))
        return joined

    @torch.inference_mode()
    def logits(self, weight: torch.Tensor) -> torch.Tensor:
        """Logits of the next token for some rows of `output` only: exact for those rows."""
        return weight @ self.hidden
