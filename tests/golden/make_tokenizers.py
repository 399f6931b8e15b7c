#!/usr/bin/env python3
"""Trains small tokenizers in the shapes of the model families and stores what the `tokenizers` package does with the
texts of tokenizer_strings.py. Writes tokenizers/<name>/tokenizer.json and golden.json, and tokenizers/strings.json.
Needs the packages of requirements.txt; nothing is downloaded. Remake: make_tokenizers.py [name ...]"""

import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tokenizer_strings import strings

FOLDER = pathlib.Path(__file__).parent / "tokenizers"
TEXTS = strings()

ENGLISH_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN2 = ENGLISH_ENDINGS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
          r"|\s+(?!\S)|\s")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK_V3_WORDS = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
                     r"|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK_V2_LETTERS = (
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbe"
    r"ῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+")
DEEPSEEK_V2_SIGNS = r"\s?[!-/:-~！-／：-～‘-‟　-。]+"


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def byte_level(prefix=False, trim=True, regex=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, trim_offsets=trim, use_regex=regex)


def train(tokenizer, size, special=(), added=(), alphabet=True, alphabet_max=None, model_options=None, edit=None):
    """Trains BPE on the texts, adds tokens, and returns the tokenizer.json as an object."""
    trainer = trainers.BpeTrainer(
        vocab_size=size, show_progress=False, special_tokens=list(special), limit_alphabet=alphabet_max,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [])
    tokenizer.train_from_iterator(sorted(TEXTS), trainer)
    tokenizer.add_tokens(list(added))
    made = json.loads(tokenizer.to_str())
    made["model"].update(model_options or {})
    if edit:
        edit(made)
    return made


def plain(content, **options):
    return AddedToken(content, special=False, **options)


def control(content, **options):
    return AddedToken(content, special=True, normalized=False, **options)


def gpt2():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = byte_level(regex=True)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)

    def merges_as_strings(made):
        made["model"]["merges"] = [" ".join(pair) for pair in made["model"]["merges"]]
    return train(t, 900, added=[AddedToken("<|endoftext|>", special=True, normalized=True)], edit=merges_as_strings)


def gpt2_options():
    """add_prefix_space, and added tokens with every option."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = byte_level(prefix=True, regex=True)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    added = [control("<s>"), control("</s>"), control("<left>", lstrip=True), control("<right>", rstrip=True),
             control("<both>", lstrip=True, rstrip=True), plain("<word>", single_word=True),
             plain("<Norm>", normalized=True), plain("a b", normalized=False), control("é", single_word=True),
             plain("<|im_start|>"), plain("<|im_start|><|im_end|>"), plain("Ġ", normalized=False)]
    return train(t, 700, special=["<s>", "</s>"], added=added)


def llama3():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([split(LLAMA3), byte_level()])
    t.decoder = decoders.ByteLevel()
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]

    def template(made):
        id = next(x["id"] for x in made["added_tokens"] if x["content"] == names[0])
        t.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single=f"{names[0]}:0 $A:0", pair=f"{names[0]}:0 $A:0 {names[0]}:1 $B:1",
                                          special_tokens=[(names[0], id)])])
        made["post_processor"] = json.loads(t.to_str())["post_processor"]
        # A word that merges alone would never reach: found whole because of ignore_merges.
        made["model"]["vocab"]["Ġfisherman"] = max(x["id"] for x in made["added_tokens"]) + 1
    return train(t, 1000, added=[control(n) for n in names], model_options={"ignore_merges": True}, edit=template)


def qwen(added_plain):
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([split(QWEN2), byte_level(trim=False)])
    t.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    t.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    added = [control(n) for n in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")]
    return train(t, 900, added=added + [plain(n, normalized=False) for n in added_plain],
                 model_options={"continuing_subword_prefix": "", "end_of_word_suffix": ""})


def qwen2():
    return qwen([])


def qwen3():
    return qwen(["<tool_call>", "</tool_call>", "<think>", "</think>"])


def deepseek_template(t, bos):
    t.post_processor = processors.Sequence([
        processors.ByteLevel(add_prefix_space=True, trim_offsets=False, use_regex=True),
        processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, 0)])])


def deepseek_v2():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        split(r"[\r\n]"), split(DEEPSEEK_V2_LETTERS), split(DEEPSEEK_V2_SIGNS), split(r"\s+$"), split("[一-龥ࠀ-一가-퟿]+"),
        pre_tokenizers.Digits(individual_digits=True), byte_level()])
    t.decoder = decoders.ByteLevel()
    names = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"]
    deepseek_template(t, names[0])
    return train(t, 900, special=names, added=[AddedToken(n, special=True, normalized=True) for n in names])


def deepseek_v3():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK_V3_WORDS), byte_level()])
    t.decoder = decoders.ByteLevel()
    names = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
    deepseek_template(t, names[0])
    added = [control(n) for n in names] + [plain(n, normalized=True) for n in (
        "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "<｜tool▁calls▁begin｜>")]
    return train(t, 900, special=names, added=added)


def sentencepiece_decoder(strip=1):
    return decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                              decoders.Strip(" ", strip, 0)])


def byte_tokens():
    return ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]


def bos_template(t):
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1",
                                                     special_tokens=[("<s>", 1)])


def drop_byte_specials(made):
    made["added_tokens"] = [x for x in made["added_tokens"] if not x["content"].startswith("<0x")]


def mixtral():
    """Llama 2 and Mixtral: no pre-tokenizer at all, bytes for what is not in the vocabulary."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = sentencepiece_decoder()
    bos_template(t)
    # Trained on words, or whole texts would become tokens.
    t.pre_tokenizer = pre_tokenizers.Metaspace()

    def edit(made):
        drop_byte_specials(made)
        made["pre_tokenizer"] = None
    return train(t, 1100, special=byte_tokens(), alphabet=False, edit=edit)


def mistral_metaspace():
    """The later form of the same: a Metaspace pre-tokenizer in place of the normalizer; some bytes are missing."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=True)
    t.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="first", split=True)
    bos_template(t)

    def edit(made):
        drop_byte_specials(made)
        for name in ("<0xF0>", "<0xE0>"):
            made["model"]["vocab"].pop(name)
    return train(t, 900, special=byte_tokens(), alphabet=False, added=[control("[INST]"), control("[/INST]")], edit=edit)


def olmoe():
    """GPT-NeoX and OLMoE: NFC, GPT-2's pattern, added tokens for runs of spaces."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = byte_level(regex=True)
    t.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    t.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B:1", special_tokens=[])
    added = [plain(" " * n, normalized=True) for n in range(24, 1, -1)]
    added += [control("<|endoftext|>"), plain("|||IP_ADDRESS|||", normalized=True), plain("e\u0301", normalized=True)]
    return train(t, 900, special=["|||IP_ADDRESS|||", "<|padding|>"], added=added)


def cl100k():
    """Possessive repeats and a line end; Ruby repeats an interval where others see a possessive one."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([split(CL100K, "removed", True), byte_level()])
    t.decoder = decoders.ByteLevel()
    return train(t, 700, added=[control("<|endoftext|>")])


def o200k():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([split(O200K), byte_level()])
    t.decoder = decoders.ByteLevel()
    return train(t, 700, added=[control("<|endoftext|>")])


def behaviors():
    """Every behavior of Split, digits in groups, punctuation, a lower-casing chain of normalizers."""
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([
        normalizers.NFKD(), normalizers.Lowercase(), normalizers.Strip(), normalizers.Replace(Regex(r"\s{3,}"), "  "),
        normalizers.NFKC()])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        split(r"[,;]", "merged_with_previous"), split(r"[#@]", "merged_with_next"), split(r"-+", "contiguous"),
        pre_tokenizers.Split(" ", "merged_with_next"), split(r"\d+|\h{4}", "isolated"),
        pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.Punctuation("isolated"), split(r"[\r\t]", "removed")])
    t.decoder = None
    return train(t, 900, special=["<unk>"], alphabet=False, alphabet_max=300)


def end_of_word():
    """The form of the first BPE vocabularies: a mark at the end of each word."""
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=True))
    t.normalizer = normalizers.Lowercase()
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    t.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(vocab_size=800, show_progress=False, special_tokens=["<unk>"], end_of_word_suffix="</w>",
                                  limit_alphabet=200)
    t.train_from_iterator(sorted(TEXTS), trainer)
    return json.loads(t.to_str())


ALL = [gpt2, gpt2_options, llama3, qwen2, qwen3, deepseek_v2, deepseek_v3, mixtral, mistral_metaspace, olmoe, cl100k, o200k,
       behaviors, end_of_word]


def golden(tokenizer, seed):
    """What the package does: null where the decoded text is the text, or both ways agree."""
    cases = []
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        special = tokenizer.encode(text).ids
        decoded, skipped = (tokenizer.decode(special, skip_special_tokens=skip) for skip in (False, True))
        cases.append([ids, None if special == ids else special, None if decoded == text else decoded,
                      None if skipped == decoded else skipped])
    rng = random.Random(seed)
    size = max(tokenizer.get_vocab().values()) + 3  # also ids that no token has
    decodes = []
    for i in range(120):
        ids = [rng.randrange(size) for _ in range(rng.randrange(1, 24))]
        decoded, skipped = (tokenizer.decode(ids, skip_special_tokens=skip) for skip in (False, True))
        decodes.append([ids, decoded, None if skipped == decoded else skipped])
    return {"vocab_size": tokenizer.get_vocab_size(), "cases": cases, "decodes": decodes}


def dump(path, value, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, **options) + "\n", encoding="utf-8")


def main():
    dump(FOLDER / "strings.json", TEXTS, indent=0)
    for make in ALL:
        if sys.argv[1:] and make.__name__ not in sys.argv[1:]:
            continue
        made = make()
        text = json.dumps(made, ensure_ascii=False)
        folder = FOLDER / make.__name__
        dump(folder / "tokenizer.json", made, separators=(",", ":"))
        dump(folder / "golden.json", golden(Tokenizer.from_str(text), make.__name__), separators=(",", ":"))
        print(make.__name__, {p.name: p.stat().st_size for p in folder.iterdir()})


if __name__ == "__main__":
    main()
