# Compares an exported folder with the training model, measures perplexity, and prints samples.

import argparse
import math
import pathlib

import torch
import transformers

import corpus as corpus_module
from model import model_config, tales_model
from train import evaluate


def load_training_model(run, dtype):
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    model = tales_model(model_config(**state["config"]), dtype)
    model.load_state_dict(state["model"])
    return model.eval()


def compare_logits(run, folder, ids):
    """Both in float32 from the same bfloat16 numbers: what is left is the order of sums."""
    ours = load_training_model(run, torch.float32)
    with torch.no_grad():
        for name, value in ours.state_dict().items():
            if "e_score_correction_bias" not in name:
                value.copy_(value.bfloat16().float())
        theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        a, b = ours.logits(ids), theirs(ids).logits
    print(f"largest difference of logits {float((a - b).abs().max()):.2e} of {float(a.abs().max()):.1f}, "
          f"same best token {float((a.argmax(-1) == b.argmax(-1)).float().mean()):.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--run", required=True, type=pathlib.Path, help="the --out folder of train.py")
    add("--folder", required=True, type=pathlib.Path, help="the exported folder")
    add("--data", help="text to measure the held-out perplexity on")
    add("--hold_out_every", type=int, default=50, help="as in training")
    add("--prompts", nargs="*", default=["Once upon a time"], help="beginnings to continue")
    add("--tokens", type=int, default=100, help="length of the samples")
    add("--temperature", type=float, help="instead of the folder's default")
    add("--top_p", type=float, help="instead of the folder's default")
    add("--seed", type=int, default=0, help="seed of the samples")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.folder)
    text = "Once upon a time there was a king who had three sons, and the youngest was called Hans.\n\n"
    compare_logits(options.run, options.folder, torch.tensor([tokenizer(text * 20)["input_ids"][:512]]))
    if options.data:
        held = corpus_module.split_documents(corpus_module.read_documents(options.data), options.hold_out_every)[1]
        plain = corpus_module.tokenizers.Tokenizer.from_file(str(options.folder / "tokenizer.json"))
        for dtype in (torch.float32, torch.bfloat16):
            for length in (512, 1024):
                model = load_training_model(options.run, dtype)
                with torch.no_grad():
                    for name, value in model.state_dict().items():
                        if "e_score_correction_bias" not in name:
                            value.copy_(value.bfloat16().float())
                nats, bits, count = evaluate(model, plain, held, length)
                print(f"held out, {dtype}, windows of {length}: perplexity {math.exp(nats):.2f} per token, "
                      f"{bits:.4f} bits per byte, {count} tokens, {len(held)} documents")
    model = transformers.AutoModelForCausalLM.from_pretrained(options.folder, dtype=torch.bfloat16)
    extra = {k: v for k, v in dict(temperature=options.temperature, top_p=options.top_p).items() if v is not None}
    for prompt in options.prompts:
        transformers.set_seed(options.seed)
        ids = tokenizer(prompt, return_tensors="pt")
        out = model.generate(**ids, max_new_tokens=options.tokens, **extra)
        print("---", repr(prompt), extra, f"seed {options.seed}")
        print(tokenizer.decode(out[0]))


if __name__ == "__main__":
    main()
