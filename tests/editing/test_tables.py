"""Tables of labels: the ways to write one, what their cells mean, which row is about which code."""

from pathlib import Path

import numpy as np
import pytest

from mien.editing.codes import Codes
from mien.editing.tables import Labels, columns_for, make_column, read_labels
from mien.errors import InputError

CELEBA = "3\nSmiling Male\n000001.jpg -1  1\n000002.jpg  1  1\n000003.jpg  1 -1\n"


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Labels:
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    return read_labels(tmp_path / "labels.csv")


def codes(*names: str, count: int = 0) -> Codes:
    return Codes(np.ones((count or len(names), 512), np.float32), names)


@pytest.mark.parametrize(
    "text",
    [
        "file,smile,hair\na.png,1,red\nb.png,0,\n",
        "file;smile;hair\r\na.png; 1 ;red\r\n\r\nb.png;0; \r\n",
        "\ufefffile\tsmile\thair\na.png\t1\tred\nb.png\t0\t\n",
        '"file","smile","hair"\n"a.png","1","red"\n"b.png","0",""',
    ],
)
def test_cells_parted_in_several_ways(tmp_path: Path, text: str) -> None:
    labels = table(tmp_path, text)
    assert labels.names == ("a.png", "b.png")
    assert dict(labels.columns) == {"smile": ("1", "0"), "hair": ("red", "")}


def test_the_layout_of_celeba(tmp_path: Path) -> None:
    labels = table(tmp_path, CELEBA)
    assert labels.names == ("000001.jpg", "000002.jpg", "000003.jpg")
    assert dict(labels.columns) == {"Smiling": ("-1", "1", "1"), "Male": ("1", "1", "-1")}
    smiling, male = columns_for(codes(*labels.names), labels, ["Smiling", "Male"])
    assert smiling.kind == male.kind == "binary" and smiling.words == ("-1", "1")
    assert smiling.values.tolist() == [0, 1, 1] and male.values.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs a heading"),
        ("file,smile\n", "has 0 rows"),
        ("file\na.png\n", "two columns or more"),
        ("file,smile\na.png,1\nb.png\n", "Line 3 .* has 1 cells; the heading has 2"),
        ("file,smile\na.png,1\nb.png,1,2\n", "Line 3 .* has 3 cells"),
        ("file,smile,smile\na.png,1,2\n", "'smile' that is empty or there twice"),
        ("file,\na.png,1\n", "'' that is empty"),
        ("file,smile\na.png,1\na.png,0\n", "two rows for 'a.png'"),
        ('file,smile\n"a.png,1\n', "no table of cells"),
        (CELEBA.replace("3\n", "4\n", 1), "announces 4 rows and has 3"),
        (CELEBA.replace("1 -1\n", "1\n"), "Line 5 .* has 2 cells; the heading has 3"),
    ],
)
def test_tables_that_are_broken(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(tmp_path, text)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no table"):
        read_labels(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path)
    with pytest.raises(InputError, match="UTF-8"):
        table(tmp_path, "file,smile\nä.png,1\n", "latin-1")


def test_rows_are_found_by_name_in_any_order() -> None:
    labels = Labels(("c.png", "a.png", "elsewhere.png"), {"age": ("30", "10", "99")})
    (age,) = columns_for(codes("a.png", "b.png", "c.png"), labels, ["age"])
    assert age.kind == "binary"  # of three faces one is unknown; two numbers are left
    assert age.values.tolist()[::2] == [0, 1] and np.isnan(age.values[1])
    (age,) = columns_for(
        codes("faces/a.jpg", "faces/c.jpg"), Labels(("faces/c", "faces/a"), {"age": ("3", "1")}), ["age"]
    )
    assert age.values.tolist() == [0, 1]


def test_rows_are_found_without_suffix_only_where_that_is_sure() -> None:
    labels = Labels(("2.png", "1.png"), {"age": ("30", "10")})
    (age,) = columns_for(codes("1.jpg", "2.jpg"), labels, ["age"])
    assert age.values.tolist() == [0, 1]
    with pytest.raises(InputError, match="names like '1.jpg'; it begins with '2.png'"):
        columns_for(codes("1.jpg", "1.webp"), labels, ["age"])


def test_rows_are_found_by_number_where_there_are_no_names() -> None:
    labels = Labels(("2", "0", "1"), {"age": ("30", "10", "20")})
    (age,) = columns_for(codes(count=3), labels, ["age"])
    assert age.values.tolist() == [10, 20, 30]
    with pytest.raises(InputError, match="numbers from 0 to 2, as the codes have no names; it begins with 'a.png'"):
        columns_for(codes(count=3), Labels(("a.png",), {"age": ("1",)}), ["age"])


def test_an_attribute_that_is_not_there_is_answered_with_those_that_are() -> None:
    labels = Labels(("0",), {"age": ("30",), "smile": ("1",)})
    with pytest.raises(InputError, match="'beard' was asked for; the table has: age, smile"):
        columns_for(codes(count=1), labels, ["beard"])


def test_kinds_of_attributes() -> None:
    number = make_column("age", ["10", " nan".strip(), "20.5", "", "1e2"])
    assert number.kind == "number" and np.allclose(number.values, [10, np.nan, 20.5, np.nan, 100], equal_nan=True)
    binary = make_column("smile", ["1.0", "-1", "1", "NaN"])
    assert (binary.kind, binary.words) == ("binary", ("-1", "1"))
    assert np.allclose(binary.values, [1, 0, 1, np.nan], equal_nan=True)
    words = make_column("hair", ["red", "blond", "", "black"])
    assert (words.kind, words.words) == ("words", ("black", "blond", "red"))
    assert np.allclose(words.values, [2, 1, np.nan, 0], equal_nan=True)
    assert make_column("gender", ["male", "female"]).words == ("female", "male")
    assert make_column("beard", ["Yes", "No"]).values.tolist() == [1, 0]
    assert make_column("one", ["5", "5"]).kind == "number"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["", "nan"], "unknown for every one of the 2"),
        (["1", "inf", "2"], "not finite"),
        ([*map(str, range(70)), "1O"], "71 different values, of which '1O' is no number"),
    ],
)
def test_cells_without_a_meaning(cells: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_column("age", cells)
