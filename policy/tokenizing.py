"""A tokenizer learnt from texts: byte-level BPE (Sennrich 2016, on bytes as in GPT-2), to which no text is unknown.

It departs from GPT-2's in two points. It puts `<|endoftext|>` before each text by itself, so that the first word has
something to follow; and what fills up batches is a token of its own, so that no end of a text is taken for it.
"""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from prefline.data.errors import ConfigError

END, PAD = "<|endoftext|>", "<|pad|>"


def train_tokenizer(texts: Iterable[str], vocabulary: int, special: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """Learn a tokenizer of `vocabulary` tokens, fewer where the texts have no more; `special` ones are never split."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    fixed = [END, PAD, *special]
    if vocabulary < len(alphabet) + len(fixed):
        raise ConfigError(
            f"vocabulary: expected at least {len(alphabet) + len(fixed)} (each byte and {len(fixed)} special tokens), "
            f"found {vocabulary}"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=fixed, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{END} $A", pair=f"{END} $A $B", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=PAD)
