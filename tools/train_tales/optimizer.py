# Muon for the matrices (orthogonalised momentum), AdamW for embeddings, head, router and norms.

import torch


def orthogonalise(update, steps=5):
    """Newton-Schulz iteration towards the nearest semi-orthogonal matrix, batched over the first dimension."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = update.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT.contiguous()
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(steps):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).float()


class muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised for each matrix; 3-d parameters are stacks of matrices."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(state["momentum"], group["momentum"])
                rows, columns = parameter.shape[-2:]
                # gate and up are stacked in one parameter but are two maps: treat each as its own matrix.
                halves = 2 if parameter.ndim == 3 and getattr(parameter, "is_gate_up", False) else 1
                stack = update.reshape(-1, rows // halves, columns)
                update = orthogonalise(stack).reshape(parameter.shape)
                scale = max(1.0, rows / halves / columns) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-group["lr"] * scale)


def make_optimizers(model, options):
    """[muon, adamw]; every group keeps its peak rate in `peak`, from which the schedule scales."""
    matrices, tables, head, vectors = [], [], [], []
    for name, parameter in model.named_parameters():
        if "experts.gate_up_proj" in name:
            parameter.is_gate_up = True
        if "embed_tokens" in name:
            tables.append(parameter)
        elif "lm_head" in name:
            head.append(parameter)
        elif parameter.ndim == 1 or name.endswith("gate.weight"):
            vectors.append(parameter)
        else:
            matrices.append(parameter)
    optimizers = [
        muon(matrices, lr=options.muon_rate, weight_decay=options.weight_decay),
        torch.optim.AdamW(
            [
                dict(params=tables, lr=options.embedding_rate, weight_decay=0.0),
                dict(params=head, lr=options.head_rate, weight_decay=0.1),
                dict(params=vectors, lr=options.vector_rate, weight_decay=0.0),
            ],
            betas=(0.9, 0.95), eps=1e-10, foreach=True,
        ),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers
