"""Some rows of a data set: which, in what order, where they stand, and that encoding reads no other."""

from tests.toy import Toy, word_tokenizer
from xlt.data.encode import encode
from xlt.data.subset import Subset

PLACE = ("text", "en", "train")
WHOLE = Toy({PLACE: [{"text": f"w{i}"} for i in range(6)], ("text", "de", "train"): [{"text": "w1"}]})


class Placed(Toy):
    def locate(self, view, language, split, number):
        return f"{language} line {number + 1}"


def test_rows_are_those_of_the_numbers():
    some = Subset(WHOLE, {PLACE: [1, 4]})
    assert list(some.rows(*PLACE)) == [{"text": "w1"}, {"text": "w4"}]
    assert list(some.rows("text", "de", "train")) == [{"text": "w1"}]
    assert (some.name, some.views(), some.languages("text"), some.splits("text", "en"), some.labels()) == ("toy", ("text",), ["de", "en"], ["train"], None)  # fmt: skip


def test_a_row_is_located_where_it_stands_in_the_source():
    assert Subset(Placed(WHOLE._rows), {PLACE: [1, 4]}).locate(*PLACE, 1) == "en line 5"
    assert Subset(WHOLE, {PLACE: [1, 4]}).locate(*PLACE, 1) == "dataset toy, language en, split train, row 5"
    assert Subset(WHOLE, {}).locate(*PLACE, 1) == "dataset toy, language en, split train, row 2"


def test_only_those_rows_are_encoded_and_the_cache_tells_subsets_apart(tmp_path):
    tokenizer = word_tokenizer([f"w{i}" for i in range(6)])
    found = []
    for kept in ([0, 5], [2], None):
        data = WHOLE if kept is None else Subset(WHOLE, {PLACE: kept})
        table = encode(data, *PLACE, lambda row: (row["text"],), tokenizer, "t", tmp_path)
        found.append([tokenizer.decode(table.segment(i, 0)) for i in range(len(table))])
    assert found == [["w0", "w5"], ["w2"], [f"w{i}" for i in range(6)]]
