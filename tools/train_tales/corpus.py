# Reads the tales, holds some out, trains the tokenizer, and deals out training windows.

import io
import json
import pathlib

import numpy
import tokenizers
import zstandard

separator = "<|endoftext|>"
# The pre-tokenizer of Llama 3: punctuation keeps the line ends after it, so a paragraph ends in one token.
split_pattern = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def read_documents(path):
    """The documents of a text file (.zst or plain), in order, without the separator lines."""
    raw = pathlib.Path(path).read_bytes()
    if str(path).endswith(".zst"):
        raw = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw)).read()
    parts = ("\n" + raw.decode("utf-8")).split("\n" + separator)
    return [part.strip("\n") for part in parts if part.strip()]


def split_documents(documents, every):
    """(training, held out): every `every`-th document is never trained on, not even by the tokenizer."""
    held = [text for index, text in enumerate(documents) if index % every == every - 1]
    return [(index, text) for index, text in enumerate(documents) if index % every != every - 1], held


def train_tokenizer(texts, vocab_size):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Split(tokenizers.Regex(split_pattern), "isolated"),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[separator],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    ))
    return tokenizer


def encode_all(tokenizer, texts):
    return [numpy.array(encoding.ids, dtype=numpy.uint16) for encoding in tokenizer.encode_batch(texts)]


class window_source:
    """Windows of one part of the corpus: each epoch shuffles the documents, joins them, cuts, shuffles again.

    `variants` holds each document as (with title, without); an epoch takes either by chance, because a prompt
    is as often the first sentence of a tale as its title.
    """

    def __init__(self, variants, seed):
        self.variants = variants
        self.random = numpy.random.default_rng(seed)
        self.epoch, self.length, self.windows = 0, 0, []

    def take(self, length):
        if self.length != length or not self.windows:
            self.start_epoch(length)
        return self.windows.pop()

    def start_epoch(self, length):
        end = numpy.zeros(1, dtype=numpy.uint16)
        parts = [end[:0]]
        for index in self.random.permutation(len(self.variants)):
            parts += [end, self.variants[index][self.random.integers(2)]]
        stream = numpy.concatenate(parts)
        offset = int(self.random.integers(length))
        starts = numpy.arange(offset, len(stream) - length - 1, length)
        self.windows = [stream[start : start + length + 1] for start in self.random.permutation(starts)]
        self.length, self.epoch = length, self.epoch + 1


class corpus:
    """Everything training needs from the text; `folder` caches the tokenizer."""

    def __init__(self, options, folder):
        documents = read_documents(options.data)
        training, self.held_out = split_documents(documents, options.hold_out_every)
        path = folder / "tokenizer.json"
        if not path.exists():
            train_tokenizer([text for _, text in training], options.vocab_size).save(str(path))
        self.tokenizer = tokenizers.Tokenizer.from_file(str(path))
        # A document longer than this is a novel: weighted lower, since tales are what the model is for.
        novel = [len(text) > options.novel_bytes for _, text in training]
        texts = [text for _, text in training]
        with_title = encode_all(self.tokenizer, texts)
        without = encode_all(self.tokenizer, [text.split("\n", 1)[-1].lstrip("\n") for text in texts])
        pairs = list(zip(with_title, without))
        self.tales = window_source([p for p, is_novel in zip(pairs, novel) if not is_novel], options.seed)
        self.novels = window_source([p for p, is_novel in zip(pairs, novel) if is_novel], options.seed + 1)
        self.random = numpy.random.default_rng(options.seed + 2)
        self.token_counts = {
            name: sum(len(p[0]) for p in source.variants)
            for name, source in (("tales", self.tales), ("novels", self.novels))
        }

    def batch(self, rows, length, tales_share):
        picks = self.random.random(rows) < tales_share
        return numpy.stack([(self.tales if pick else self.novels).take(length) for pick in picks]).astype(numpy.int64)

    def describe(self):
        return json.dumps({"tokens": self.token_counts, "held_out_documents": len(self.held_out)})
