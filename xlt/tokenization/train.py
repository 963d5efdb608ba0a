"""Training a SentencePiece tokenizer on language-balanced text, and saving it as a plain transformers tokenizer.

The pieces are learned by the sentencepiece library (Kudo and Richardson 2018) and run by the tokenizers library, with XLM-R's special
tokens in XLM-R's order. Extending or trimming an existing vocabulary is not done here.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from xlt import noise
from xlt.errors import ConfigError

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")


class Kind(str, Enum):
    """The two segmentation models of SentencePiece."""

    unigram = "unigram"
    bpe = "bpe"


class Normalization(str, Enum):
    """Unicode form in which text is encoded; `none` decodes to the very same characters, `nfc` to the same glyphs."""

    none = "none"
    nfc = "nfc"
    nfkc = "nfkc"


@dataclass(frozen=True, kw_only=True)
class SentencePiece:
    """A tokenizer to train. vocab_size counts special tokens and byte pieces too. language_tokens: each language has a token <CODE> of its own.

    lowercase: text is read without case, so that a word has one piece at a sentence's beginning and within; decoded text has none either.

    alpha: languages are sampled with p^alpha (Lample and Conneau 2019). sample: sentences drawn in all; null: as many as there are,
    poor languages repeated up to `max_repeats` times.
    """

    kind: Kind
    vocab_size: int
    alpha: float
    sample: int | None
    max_repeats: int
    byte_fallback: bool
    character_coverage: float
    normalization: Normalization
    lowercase: bool
    language_tokens: bool

    def __post_init__(self):
        if self.vocab_size < 300:
            raise ConfigError(
                f"tokenizer.vocab_size: {self.vocab_size} leaves no room for 256 byte pieces; give at least 300"
            )
        if not 0 < self.character_coverage <= 1:
            raise ConfigError(
                f"tokenizer.character_coverage: {self.character_coverage} is not in (0, 1]; XLM-R has 0.9995"
            )


def balanced_sample(sizes: dict[str, int], shares: dict[str, float], total: int, max_repeats: int) -> dict[str, int]:
    """Sentences to draw per language: its share of `total`, at most `max_repeats` times what it has."""
    return {language: min(round(shares[language] * total), sizes[language] * max_repeats) for language in sizes}


def draw_sentences(texts: dict[str, list[str]], counts: dict[str, int], seed: int) -> Iterator[str]:
    """`counts[language]` sentences of each language: whole passes over its text, then a random part without replacement."""
    for language, sentences in texts.items():
        passes, rest = divmod(counts[language], max(len(sentences), 1))
        for _ in range(passes):
            yield from sentences
        for i in noise.permutation(noise.key(seed, "tokenizer", language), len(sentences))[:rest]:
            yield sentences[i]


def train(spec: SentencePiece, sentences: Iterable[str], threads: int, max_length: int, codes: Iterable[str] = ()):
    """A transformers tokenizer whose pieces are learned from `sentences`, with a token for each of the language `codes` where the spec asks for
    them. ConfigError if the text holds too few pieces."""
    import sentencepiece

    model, form = io.BytesIO(), normalizer(spec)
    named = [f"<{code}>" for code in codes] if spec.language_tokens else []
    extra = 1 + len(named)  # <mask>, which sentencepiece never sees; its own <unk> <s> </s> are ours, <pad> is one more
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(form.normalize_str(s) for s in sentences),
            model_writer=model,
            model_type=spec.kind.value,
            vocab_size=spec.vocab_size - extra - 1,
            character_coverage=spec.character_coverage,
            byte_fallback=spec.byte_fallback,
            normalization_rule_name="identity",
            num_threads=threads,
            max_sentence_length=100_000,
            minloglevel=2,
        )
    except RuntimeError as error:
        few = "required_chars" in str(error)  # not even its characters have room
        remedy = "raise it, or lower tokenizer.character_coverage" if few else "lower it, or give more text"
        raise ConfigError(
            f"tokenizer.vocab_size: {spec.vocab_size} pieces cannot be learned from this text; {remedy} ({_reason(error)})"
        ) from error
    tokenizer = to_transformers(model.getvalue(), spec, max_length)
    if named:
        tokenizer.add_special_tokens({"extra_special_tokens": named})
    return tokenizer


def normalizer(spec: SentencePiece):
    """Text as the tokenizer sees it: Unicode form, case, and every run of white space one blank. Of the tokenizers library."""
    import tokenizers
    from tokenizers import normalizers

    forms = {Normalization.none: [], Normalization.nfc: [normalizers.NFC()], Normalization.nfkc: [normalizers.NFKC()]}
    case = [normalizers.Lowercase()] if spec.lowercase else []
    blanks = [normalizers.Replace(tokenizers.Regex(r"\s+"), " "), normalizers.Strip()]
    return normalizers.Sequence([*forms[spec.normalization], *case, *blanks])


def to_transformers(model: bytes, spec: SentencePiece, max_length: int):
    """The fast transformers tokenizer that segments as the sentencepiece `model` does (a test holds them equal)."""
    import sentencepiece
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    learned = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(3, pieces.get_piece_size())]
    vocabulary = [(token, 0.0) for token in SPECIAL_TOKENS] + learned + [("<mask>", 0.0)]
    if spec.kind is Kind.unigram:
        core = models.Unigram(vocabulary, unk_id=3, byte_fallback=spec.byte_fallback)
    else:
        ids = {token: i for i, (token, _) in enumerate(vocabulary)}
        core = models.BPE(ids, _merges(learned), unk_token="<unk>", fuse_unk=True, byte_fallback=spec.byte_fallback)
    tokenizer = tokenizers.Tokenizer(core)
    tokenizer.normalizer = normalizer(spec)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.ByteFallback(),
            decoders.Metaspace(replacement="▁", prepend_scheme="always", split=False),
            decoders.Fuse(),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )


def _merges(learned: list[tuple[str, float]]) -> list[tuple[str, str]]:
    """BPE merges in the order of learning: a piece's score is minus its rank, and each of its splits into two known pieces may make it."""
    rank = {piece: -score for piece, score in learned}
    merges = []
    for piece, score in learned:
        splits = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if piece[:i] in rank and piece[i:] in rank]
        merges += [(-score, rank[left], rank[right], left, right) for left, right in splits]
    return [(left, right) for *_, left, right in sorted(merges)]


def _reason(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1][:200]
