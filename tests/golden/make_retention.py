# Records what PyTorch and PEFT compute for the methods against forgetting, on checkpoints of training/.
"""Remakes retention/ beside this script; needs requirements.txt and requirements-peft.txt.

retention.json         settings, the documents, labels drawn from the model for each of them, losses
retention.safetensors  taught.<tensor>: gradient of cross-entropy + distillation of logits and of final hidden rows, of a
                       student with the weights that training.safetensors ends with, the checkpoint being its teacher
                       squares.<tensor>: sum over documents of squared gradients of the summed loss under those labels
                       lora_start.<tensor>, lora_end.<tensor>: factors before and after ten steps, under PEFT's names
"""
import shutil
import tempfile
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

from make_models import load_model, margin_probe, reset_rope, seed_of, write_json
from make_training import BETAS, CLIP, DECAY, EPS, MARGIN_MIN, RATE, STEPS, as_stored, mean_loss

HERE = Path(__file__).resolve().parent
NAMES = ["deepseek_v3", "llama", "qwen3_moe"]
DOCUMENT_LENGTHS = [17, 5, 23]
TEMPERATURE, WEIGHT, HIDDEN_WEIGHT = 2.0, 0.7, 0.4
RANK, ALPHA = 3, 6
LORA_TARGETS = {"deepseek_v3": ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"],
                "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
                "qwen3_moe": ["q_proj", "k_proj", "v_proj", "o_proj"]}


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in NAMES:
        make(name, HERE / "training" / name, HERE / "retention" / name)


def make(name, checkpoint, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = torch.Generator().manual_seed(seed_of(name) + 11)
    teacher = load_model(checkpoint)
    documents = [torch.randint(0, teacher.config.vocab_size, (1, n), generator=rng) for n in DOCUMENT_LENGTHS]
    figures, tensors = {}, {}
    for part in (taught_gradients, squared_gradients, lora_steps):
        more, named = part(name, checkpoint, documents, rng)
        figures.update(more)
        tensors.update(named)
    save_file(tensors, folder / "retention.safetensors")
    write_json(folder / "retention.json", {
        "about": f"methods against forgetting on training/{name}", "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__, "peft": peft.__version__,
        "documents": [d[0].tolist() for d in documents], **figures})
    print(name, sum(f.stat().st_size for f in folder.iterdir()) // 1024, "KiB", figures["taught_loss"], flush=True)


def hidden_and_logits(model, tokens):
    reset_rope(model)
    hidden = model.model(tokens, use_cache=False).last_hidden_state[0]
    out = model.lm_head(hidden)
    if hasattr(model.config, "logits_scaling"):
        out = out / model.config.logits_scaling
    return hidden, out


def keep_distance(probe, what):
    if min(probe.score, probe.logit) < MARGIN_MIN:
        raise RuntimeError(f"{what}: a routing decision is too close: {probe.score}, {probe.logit}")


def taught_gradients(name, checkpoint, documents, rng):
    teacher = load_model(checkpoint)
    with tempfile.TemporaryDirectory() as scratch:
        student = load_model(student_folder(checkpoint, Path(scratch)))
        probes = margin_probe(student), margin_probe(teacher)
        plain, logits_part, hidden_part, count = 0, 0, 0, 0
        for tokens in documents:
            hidden, logits = hidden_and_logits(student, tokens)
            with torch.no_grad():
                known_hidden, known = hidden_and_logits(teacher, tokens)
            plain = plain + torch.nn.functional.cross_entropy(logits[:-1], tokens[0, 1:], reduction="sum")
            logits_part = logits_part + TEMPERATURE ** 2 * torch.nn.functional.kl_div(
                torch.log_softmax(logits[:-1] / TEMPERATURE, -1), torch.log_softmax(known[:-1] / TEMPERATURE, -1),
                reduction="sum", log_target=True)
            hidden_part = hidden_part + (hidden[:-1] - known_hidden[:-1]).square().mean(-1).sum() / 2
            count += tokens.shape[1] - 1
        taught = (WEIGHT * logits_part + HIDDEN_WEIGHT * hidden_part) / count
        (plain / count + taught).backward()
        for probe in probes:
            keep_distance(probe, name)
        return ({"temperature": TEMPERATURE, "weight": WEIGHT, "hidden_weight": HIDDEN_WEIGHT,
                 "taught_loss": float(taught), "plain_loss": float(plain / count)},
                {"taught." + n: t for n, t in as_stored(student, checkpoint, gradient=True).items()})


def student_folder(checkpoint, folder):
    """The checkpoint with the weights that training ended with."""
    tensors = load_file(checkpoint / "model.safetensors")
    for n, t in load_file(checkpoint / "training.safetensors").items():
        if n.startswith("after."):
            tensors[n.removeprefix("after.")] = t
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(checkpoint / "config.json", folder)
    return folder


def squared_gradients(name, checkpoint, documents, rng):
    model = load_model(checkpoint)
    probe = margin_probe(model)
    squares, labels = {}, []
    for tokens in documents:
        reset_rope(model)
        logits = model(tokens, use_cache=False).logits[0]
        drawn = torch.multinomial(torch.softmax(logits.detach(), -1), 1, generator=rng)[:, 0]
        labels.append(drawn.tolist())
        model.zero_grad(set_to_none=False)
        torch.nn.functional.cross_entropy(logits, drawn, reduction="sum").backward()
        for n, t in as_stored(model, checkpoint, gradient=True).items():
            squares[n] = squares.get(n, 0) + t.square()
    keep_distance(probe, name)
    return {"labels": labels}, {"squares." + n: t for n, t in squares.items()}


def lora_steps(name, checkpoint, documents, rng):
    torch.manual_seed(seed_of(name))
    model = load_model(checkpoint)
    probe = margin_probe(model)
    adapted = peft.get_peft_model(model, peft.LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules=LORA_TARGETS[name], task_type="CAUSAL_LM"))
    named = lambda when: {when + n: t.detach().clone().contiguous()
                          for n, t in peft.get_peft_model_state_dict(adapted).items()}
    tensors = named("lora_start.")
    trained = [p for p in adapted.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=RATE, betas=BETAS, eps=EPS, weight_decay=DECAY)
    losses, norms = [], []
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = mean_loss(adapted.base_model.model, documents)
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(trained, CLIP)))
        optimiser.step()
        losses.append(float(loss.detach()))
    keep_distance(probe, name)
    tensors.update(named("lora_end."))
    return ({"lora_rank": RANK, "lora_alpha": ALPHA, "lora_losses": losses, "lora_norms": norms, "rate": RATE,
             "beta1": BETAS[0], "beta2": BETAS[1], "eps": EPS, "weight_decay": DECAY, "clip": CLIP}, tensors)


if __name__ == "__main__":
    main()
