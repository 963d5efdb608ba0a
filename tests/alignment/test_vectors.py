"""`.vec` files: what is written is what is read, and each way in which a file can be wrong has its sentence. Learned vectors against a full SVD."""

import gzip

import numpy as np
import pytest
import torch

from xlt.alignment.cooccurrences import learn_vectors
from xlt.alignment.vectors import StaticVectors, read_vec, write_vec
from xlt.errors import DataError


def write(path, text):
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_round_trip_is_exact(tmp_path, scale):
    table = StaticVectors(
        [f"wört{i}" for i in range(2500)], scale * torch.randn(2500, 7, generator=torch.Generator().manual_seed(0))
    )
    write_vec(tmp_path / "a.vec", table)
    again = read_vec(tmp_path / "a.vec", None)
    assert again.words == table.words and torch.equal(again.vectors, table.vectors)
    write_vec(tmp_path / "b.vec", again)
    assert (tmp_path / "a.vec").read_bytes() == (tmp_path / "b.vec").read_bytes()


@pytest.mark.parametrize("name", ["a.vec", "a.vec.gz"])
@pytest.mark.parametrize("end", ["\n", " \n", "\r\n"])  # fastText ends its lines with a blank
def test_reads_what_fasttext_writes(tmp_path, name, end):
    path = write(tmp_path / name, end.join(["3 2", "the 0.5 -1e-2", "New York 1 2", "a\u00a0b 3 4", ""]))
    table = read_vec(path, None)
    assert table.words == ["the", "New York", "a\u00a0b"]
    assert (
        table.vectors.tolist() == [[0.5, pytest.approx(-0.01)], [1, 2], [3, 4]] and table.vectors.dtype == torch.float32
    )


def test_max_vocab_reads_no_further_and_doubles_keep_their_first(tmp_path):
    path = write(tmp_path / "a.vec", "5 1\na 1\nb 2\na 3\nc 4\nd not-a-number\n")
    assert read_vec(path, 3).words == ["a", "b", "c"]
    assert read_vec(path, 3).vectors[:, 0].tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: '' is not a header; a .vec file begins with its number of words and their width"),
        ("the 0.1 0.2\n", "line 1: 'the 0.1 0.2' is not a header"),
        ("0 0\n", "line 1: '0 0' is not a header"),
        ("3 2\na 1 2\nb 1 2\n", "the header promises 3 words and there are 2; the file may be cut off"),
        ("1 2\na 1 2\nb 1 2\n", "line 3: the header promises 1 words and there are more; correct line 1"),
        ("2 2\na 1 2\nb 1\n", "line 3: it has 1 numbers where the header promises 2; correct or delete the line"),
        ("2 2\na 1 2\n\n", "line 3: it has 0 numbers where the header promises 2"),
        ("2 2\na 1 2\nb 1 x2\n", "line 3: 'x2' is not a number; correct or delete the line"),
        ("1 2\na b 1 2 x\n", "line 2: 'x' is not a number"),
        ("2 2\na 1 nan\nb 1 2\n", "line 2: it holds NaN, infinity or a number beyond 32 bits"),
        ("1 2\na 1 inf\n", "line 2: it holds NaN, infinity or a number beyond 32 bits"),
        (b"1 2\nf\xfcr 1 2\n", "line 2: the word b'f\\xfcr' is not UTF-8; convert the file to UTF-8"),
    ],
)
def test_each_mistake_has_its_sentence(tmp_path, text, sentence):
    path = write(tmp_path / "a.vec", text)
    with pytest.raises(DataError) as caught:
        read_vec(path, None)
    assert str(caught.value).startswith(f"{path}") and sentence in str(caught.value) and "\n" not in str(caught.value)


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(DataError, match=r"no\.vec: there is no such file; give the path of a \.vec text file"):
        read_vec(tmp_path / "no.vec", None)
    whole = gzip.compress(b"2 2\na 1 2\nb 3 4\n" * 50)
    for name, data in (("cut.vec.gz", whole[:-12]), ("text.vec.gz", b"2 2\na 1 2\nb 3 4\n")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(
            DataError,
            match=r"the compressed file is damaged or cut off .*; fetch it again|the header promises 2 words and there are more",
        ):
            read_vec(tmp_path / name, None)


def test_rows_by_word_fall_back_to_small_letters():
    table = StaticVectors(["haus", "Haus", "baum"], torch.eye(3))
    assert [table.row(word) for word in ("haus", "Haus", "HAUS", "Baum", "wald")] == [0, 1, 0, 2, None]


# ---- learned vectors


def corpus(seed=0):
    """Sentences of two topics, each word with its topic's."""
    generator = np.random.default_rng(seed)
    topics = [[f"{topic}{i}" for i in range(30)] for topic in "ab"]
    return [[str(word) for word in generator.choice(topics[generator.integers(2)], 8)] for _ in range(600)]


def ppmi_by_definition(sentences, words, window):
    index = {word: i for i, word in enumerate(words)}
    counts = np.zeros((len(words), len(words)))
    for sentence in sentences:
        for i, a in enumerate(sentence):
            for j, b in enumerate(sentence):
                if 0 < abs(i - j) <= window and a in index and b in index:
                    counts[index[a], index[b]] += (window + 1 - abs(i - j)) / window
    word, context = counts.sum(1) / counts.sum(), counts.sum(0) ** 0.75 / (counts.sum(0) ** 0.75).sum()
    with np.errstate(divide="ignore"):
        return np.maximum(0, np.log(counts / counts.sum() / np.outer(word, context)))


def test_learned_vectors_are_the_truncated_svd_of_the_ppmi_matrix():
    sentences = corpus()
    table = learn_vectors(sentences, width=2, max_vocab=50, window=3)
    u, s, _ = np.linalg.svd(ppmi_by_definition(sentences, table.words, 3))
    expected = u[:, :2] * s[:2] ** 0.5
    np.testing.assert_allclose(table.vectors.numpy() @ table.vectors.numpy().T, expected @ expected.T, atol=2e-4)


def test_full_width_keeps_all_of_the_matrix():
    sentences = corpus()
    table = learn_vectors(sentences, width=100, max_vocab=60, window=2)
    assert table.vectors.shape == (60, 60)
    u, s, _ = np.linalg.svd(ppmi_by_definition(sentences, table.words, 2))
    np.testing.assert_allclose(table.vectors.numpy() @ table.vectors.numpy().T, (u * s) @ u.T, atol=1e-4)


def test_words_come_by_frequency_then_letters_and_the_same_text_gives_the_same_bits():
    sentences = [["b", "a", "c", "a"], ["a", "c", "b", "x"]]
    table = learn_vectors(iter(sentences), 2, 3, 2)
    assert table.words == ["a", "b", "c"] and table.vectors.dtype == torch.float32
    assert torch.equal(learn_vectors(corpus(), 10, 60, 3).vectors, learn_vectors(corpus(), 10, 60, 3).vectors)


def test_words_of_a_topic_lie_together():
    table = learn_vectors(corpus(), 5, 60, 5)
    unit = torch.nn.functional.normalize(table.vectors)
    topic = torch.tensor([word[0] == "a" for word in table.words])
    nearest = (unit @ unit.T).fill_diagonal_(-1).argmax(1)
    assert (topic[nearest] == topic).all()


@pytest.mark.parametrize("sentences", [[], [[]], [["one"], ["two"]]])
def test_no_text_is_an_error(sentences):
    with pytest.raises(DataError, match="there are no two words beside each other to learn vectors from; check"):
        learn_vectors(sentences, 10, 10, 5)
