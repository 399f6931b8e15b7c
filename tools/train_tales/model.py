# The Tales model: the mathematics of DeepSeek-V3 (MLA, sigmoid router), written to train fast on one CPU core.
"""Parameter names are those of the Hugging Face checkpoint, so the export is a copy.

What differs from the transformers module is only speed: matrix products run in bfloat16, attention skips
the blocks above the diagonal, tokens are sorted by expert so that an expert costs one product, and the
logits of a whole batch are never alive at the same time.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass
class model_config:
    vocab_size: int = 4096
    hidden_size: int = 192
    intermediate_size: int = 384
    moe_intermediate_size: int = 96
    num_hidden_layers: int = 5
    num_attention_heads: int = 4
    q_lora_rank: int = 96
    kv_lora_rank: int = 64
    qk_nope_head_dim: int = 32
    qk_rope_head_dim: int = 16
    v_head_dim: int = 48
    n_routed_experts: int = 16
    n_shared_experts: int = 1
    num_experts_per_tok: int = 2
    routed_scaling_factor: float = 1.5
    first_k_dense_replace: int = 1
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-6
    max_position_embeddings: int = 1024


# Rows of an expert are padded to a multiple of this.
row_multiple = 64


class rms_norm_function(torch.autograd.Function):
    """RMSNorm with the fewest passes over memory; keeps only the input and one number per row."""

    @staticmethod
    def forward(ctx, x, weight, eps, dtype):
        x32 = x.float()
        length = torch.linalg.vector_norm(x32, dim=-1, keepdim=True)
        inverse = torch.rsqrt(length.square_() / x.shape[-1] + eps)
        normed = x32 * inverse
        ctx.save_for_backward(normed, inverse, weight)
        ctx.input_dtype = x.dtype
        return (normed * weight).to(dtype)

    @staticmethod
    def backward(ctx, grad):
        normed, inverse, weight = ctx.saved_tensors
        grad = grad.float()
        product = grad * normed
        grad_weight = product.flatten(0, -2).sum(0)
        scaled = grad.mul_(weight) if grad.dtype != ctx.input_dtype else grad * weight
        mean = torch.matmul(product, weight[:, None]) / normed.shape[-1]
        grad_x = torch.addcmul(scaled, normed, mean, value=-1).mul_(inverse)
        return grad_x.to(ctx.input_dtype), grad_weight, None, None


class rms_norm(nn.Module):
    def __init__(self, size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x, dtype):
        return rms_norm_function.apply(x, self.weight, self.eps, dtype)


class causal_attention_function(torch.autograd.Function):
    """Causal attention over (batch*heads, length, size), by blocks of queries that see only keys before them."""

    block = 128

    @staticmethod
    def forward(ctx, q, k, v, scale):
        length, block = q.shape[1], min(causal_attention_function.block, q.shape[1])
        mask = torch.full((block, block), float("-inf"), dtype=q.dtype).triu_(1)
        q = q * scale
        out = torch.empty(*q.shape[:2], v.shape[2], dtype=q.dtype)
        saved = []
        for start in range(0, length, block):
            stop = min(start + block, length)
            scores = torch.bmm(q[:, start:stop], k[:, :stop].mT)
            scores[:, :, start:] += mask[: stop - start, : stop - start]
            share = torch.softmax(scores, dim=-1)
            out[:, start:stop] = torch.bmm(share, v[:, :stop])
            saved.append(share)
        ctx.save_for_backward(q, k, v, out, *saved)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx, grad_out):
        q, k, v, out, *saved = ctx.saved_tensors
        length, block = q.shape[1], min(causal_attention_function.block, q.shape[1])
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for index, start in enumerate(range(0, length, block)):
            stop, share = min(start + block, length), saved[index]
            grad_block = grad_out[:, start:stop]
            grad_v[:, :stop] += torch.bmm(share.mT, grad_block)
            grad_share = torch.bmm(grad_block, v[:, :stop].mT)
            grad_scores = torch._softmax_backward_data(grad_share, share, -1, share.dtype)
            grad_q[:, start:stop] = torch.bmm(grad_scores, k[:, :stop])
            grad_k[:, :stop] += torch.bmm(grad_scores.mT, q[:, start:stop])
        return grad_q.mul_(ctx.scale), grad_k, grad_v, None


class experts_function(torch.autograd.Function):
    """Routed experts: rows of `x` are sorted by expert, `counts` says how many rows each expert has."""

    @staticmethod
    def forward(ctx, x, gate_up, down, weights, counts):
        size = down.shape[2]
        hidden = torch.empty(x.shape[0], 2 * size, dtype=x.dtype)
        out = torch.empty(x.shape[0], down.shape[1], dtype=x.dtype)
        start = 0
        for expert, count in enumerate(counts):
            rows = slice(start, start + count)
            torch.mm(x[rows], gate_up[expert].t(), out=hidden[rows])
            start += count
        gate, up = hidden[:, :size], hidden[:, size:]
        gate_silu = F.silu(gate)
        inner = gate_silu * up
        weighted = inner * weights[:, None]
        start = 0
        for expert, count in enumerate(counts):
            rows = slice(start, start + count)
            torch.mm(weighted[rows], down[expert].t(), out=out[rows])
            start += count
        ctx.save_for_backward(x, gate_up, down, weights, hidden, gate_silu, inner, weighted)
        ctx.counts = counts
        return out

    @staticmethod
    def backward(ctx, grad):
        x, gate_up, down, weights, hidden, gate_silu, inner, weighted = ctx.saved_tensors
        size = down.shape[2]
        grad_weighted = torch.empty_like(inner)
        grad_x = torch.empty_like(x)
        grad_gate_up, grad_down = torch.empty_like(gate_up), torch.empty_like(down)
        start = 0
        for expert, count in enumerate(ctx.counts):
            rows = slice(start, start + count)
            torch.mm(grad[rows], down[expert], out=grad_weighted[rows])
            torch.mm(grad[rows].t(), weighted[rows], out=grad_down[expert])
            start += count
        grad_weights = (grad_weighted * inner).sum(-1, dtype=torch.float32)
        grad_inner = grad_weighted.mul_(weights[:, None])
        grad_hidden = torch.empty_like(hidden)
        torch.mul(grad_inner, gate_silu, out=grad_hidden[:, size:])
        grad_hidden[:, :size] = torch.ops.aten.silu_backward(grad_inner * hidden[:, size:], hidden[:, :size])
        start = 0
        for expert, count in enumerate(ctx.counts):
            rows = slice(start, start + count)
            torch.mm(grad_hidden[rows], gate_up[expert], out=grad_x[rows])
            torch.mm(grad_hidden[rows].t(), x[rows], out=grad_gate_up[expert])
            start += count
        return grad_x, grad_gate_up, grad_down, grad_weights.to(weights.dtype), None


class cross_entropy_function(torch.autograd.Function):
    """Mean cross entropy of a linear head, by chunks of rows; the gradients are made on the way forward."""

    chunk = 512

    @staticmethod
    def forward(ctx, x, weight, target):
        rows = x.shape[0]
        grad_x = torch.empty_like(x)
        grad_weight = torch.zeros(weight.shape, dtype=torch.float32)
        total = 0.0
        for start in range(0, rows, cross_entropy_function.chunk):
            stop = start + cross_entropy_function.chunk
            part, goal = x[start:stop], target[start:stop]
            logits = part @ weight.t()
            if not ctx.needs_input_grad[0]:
                total += float(F.cross_entropy(logits.float(), goal, reduction="sum"))
                continue
            # One fused pass; the reported loss is then only as exact as a bfloat16 share, the gradient no less so.
            share = torch.softmax(logits, dim=-1)
            index = torch.arange(goal.shape[0])
            total -= float(share[index, goal].float().clamp_min(1e-30).log().sum())
            share[index, goal] -= 1
            torch.mm(share, weight, out=grad_x[start : start + part.shape[0]])
            grad_weight += share.t() @ part
        ctx.save_for_backward(grad_x, grad_weight)
        ctx.rows = rows
        return torch.tensor(total / rows)

    @staticmethod
    def backward(ctx, grad):
        grad_x, grad_weight = ctx.saved_tensors
        scale = float(grad) / ctx.rows
        return grad_x.mul_(scale), grad_weight.mul_(scale), None


def linear(x, weight):
    return F.linear(x, weight.to(x.dtype))


class projection(nn.Module):
    """A linear map without bias whose float32 weight is rounded to the type of its input."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * inputs**-0.5)

    def forward(self, x):
        return linear(x, self.weight)


class gated_mlp(nn.Module):
    def __init__(self, hidden, inner):
        super().__init__()
        self.gate_proj = projection(hidden, inner)
        self.up_proj = projection(hidden, inner)
        self.down_proj = projection(inner, hidden)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class router(nn.Module):
    """Chooses by sigmoid score plus bias, weighs by score alone; the bias is not trained by gradient."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(
            torch.randn(config.n_routed_experts, config.hidden_size) * config.hidden_size**-0.5
        )
        self.register_buffer("e_score_correction_bias", torch.zeros(config.n_routed_experts))
        self.register_buffer("load", torch.zeros(config.n_routed_experts), persistent=False)

    def forward(self, x):
        scores = torch.sigmoid(F.linear(x.float(), self.weight))
        biased = scores.detach() + self.e_score_correction_bias
        choice = torch.topk(biased, self.config.num_experts_per_tok, sorted=False)[1]
        weights = scores.gather(1, choice)
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-20) * self.config.routed_scaling_factor
        if self.training:
            self.load += torch.bincount(choice.flatten(), minlength=self.config.n_routed_experts)
        return weights, choice

    def balance(self, rate):
        """One step of auxiliary-loss-free balancing; returns the load of the busiest expert over the mean load."""
        mean = self.load.mean()
        self.e_score_correction_bias += rate * torch.sign(mean - self.load)
        busiest = float(self.load.max() / mean)
        self.load.zero_()
        return busiest


class experts(nn.Module):
    """Stacked weights; the export splits them into one gate, up and down matrix for each expert."""

    def __init__(self, config):
        super().__init__()
        count, hidden, inner = config.n_routed_experts, config.hidden_size, config.moe_intermediate_size
        self.gate_up_proj = nn.Parameter(torch.randn(count, 2 * inner, hidden) * hidden**-0.5)
        self.down_proj = nn.Parameter(torch.randn(count, hidden, inner) * inner**-0.5)


class moe(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate = router(config)
        self.experts = experts(config)
        self.shared_experts = gated_mlp(config.hidden_size, config.moe_intermediate_size * config.n_shared_experts)
        self.count = config.n_routed_experts

    def forward(self, x):
        weights, choice = self.gate(x)
        flat = choice.flatten()
        order = torch.argsort(flat, stable=True)
        counts = torch.bincount(flat, minlength=self.count)
        # Row counts are rounded up, since the library builds a new kernel for every height it has not seen.
        # A row of padding repeats the first one; nobody reads what comes out of it, so no gradient enters it.
        padded = (counts + row_multiple - 1) // row_multiple * row_multiple
        shift = padded.cumsum(0) - padded - (counts.cumsum(0) - counts)
        slot = torch.arange(flat.shape[0]) + shift.repeat_interleave(counts)
        source = torch.zeros(int(padded.sum()), dtype=torch.int64)
        source[slot] = order
        routed = experts_function.apply(
            x.index_select(0, source // choice.shape[1]),
            self.experts.gate_up_proj.to(x.dtype),
            self.experts.down_proj.to(x.dtype),
            weights.flatten().index_select(0, source).to(x.dtype),
            padded.tolist(),
        )
        # Back to token order by a gather, which is faster than a scattered add.
        place = torch.empty_like(order)
        place[order] = slot
        routed = routed.index_select(0, place).view(x.shape[0], -1, x.shape[1]).sum(1)
        return routed + self.shared_experts(x)


class attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        heads = config.num_attention_heads
        self.q_a_proj = projection(config.hidden_size, config.q_lora_rank)
        self.q_a_layernorm = rms_norm(config.q_lora_rank)
        self.q_b_proj = projection(config.q_lora_rank, heads * (config.qk_nope_head_dim + config.qk_rope_head_dim))
        self.kv_a_proj_with_mqa = projection(config.hidden_size, config.kv_lora_rank + config.qk_rope_head_dim)
        self.kv_a_layernorm = rms_norm(config.kv_lora_rank)
        self.kv_b_proj = projection(config.kv_lora_rank, heads * (config.qk_nope_head_dim + config.v_head_dim))
        self.o_proj = projection(heads * config.v_head_dim, config.hidden_size)

    def forward(self, x, batch, cos, sin):
        c, heads, length = self.config, self.config.num_attention_heads, x.shape[0] // batch
        nope, rope = c.qk_nope_head_dim, c.qk_rope_head_dim
        q = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x), x.dtype)).view(batch, length, heads, nope + rope)
        compressed = self.kv_a_proj_with_mqa(x)
        latent = self.kv_a_layernorm(compressed[:, : c.kv_lora_rank], x.dtype)
        k_rope = rotate(compressed[:, c.kv_lora_rank :].view(batch, length, 1, rope), cos, sin)
        kv = self.kv_b_proj(latent).view(batch, length, heads, nope + c.v_head_dim)
        q = torch.cat([q[..., :nope], rotate(q[..., nope:], cos, sin)], -1)
        k = torch.cat([kv[..., :nope], k_rope.expand(-1, -1, heads, -1)], -1)
        q, k, v = (t.transpose(1, 2).reshape(batch * heads, length, -1) for t in (q, k, kv[..., nope:]))
        out = causal_attention_function.apply(q, k, v, (nope + rope) ** -0.5)
        out = out.view(batch, heads, length, -1).transpose(1, 2).reshape(batch * length, -1)
        return self.o_proj(out)


def rotate(x, cos, sin):
    """Interleaved rotary pairs; the halves come out de-interleaved, for keys and queries alike."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.cat([even * cos - odd * sin, odd * cos + even * sin], -1)


class decoder_layer(nn.Module):
    def __init__(self, config, index):
        super().__init__()
        self.self_attn = attention(config)
        dense = index < config.first_k_dense_replace
        self.mlp = gated_mlp(config.hidden_size, config.intermediate_size) if dense else moe(config)
        self.input_layernorm = rms_norm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = rms_norm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x, batch, cos, sin, dtype):
        x = x + self.self_attn(self.input_layernorm(x, dtype), batch, cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x, dtype))


class tales_model(nn.Module):
    def __init__(self, config, dtype=torch.bfloat16):
        super().__init__()
        self.config, self.dtype = config, dtype
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(decoder_layer(config, i) for i in range(config.num_hidden_layers))
        self.norm = rms_norm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = projection(config.hidden_size, config.vocab_size)
        nn.init.normal_(self.embed_tokens.weight, std=0.5)
        nn.init.normal_(self.lm_head.weight, std=0.02)
        # What writes to the residual stream starts at zero, so that the first steps train the head and embedding.
        for name, parameter in self.named_parameters():
            if "o_proj" in name or "down_proj" in name:
                nn.init.zeros_(parameter)

    def hidden(self, tokens):
        """tokens (batch, length) -> normed states (batch*length, hidden)."""
        c, (batch, length) = self.config, tokens.shape
        half = c.qk_rope_head_dim // 2
        angle = torch.arange(length).float()[:, None] * c.rope_theta ** -(torch.arange(half).float() / half)
        cos, sin = (t.to(self.dtype)[None, :, None] for t in (angle.cos(), angle.sin()))
        x = self.embed_tokens(tokens.flatten())
        for layer in self.layers:
            x = layer(x, batch, cos, sin, self.dtype)
        return self.norm(x, self.dtype)

    def loss(self, tokens):
        """Mean negative log likelihood of tokens[:, 1:] given what is before them."""
        x = self.hidden(tokens[:, :-1])
        return cross_entropy_function.apply(x, self.lm_head.weight.to(self.dtype), tokens[:, 1:].flatten())

    def logits(self, tokens):
        return linear(self.hidden(tokens), self.lm_head.weight).float().view(*tokens.shape, -1)

    def routers(self):
        return [layer.mlp.gate for layer in self.layers if isinstance(layer.mlp, moe)]
