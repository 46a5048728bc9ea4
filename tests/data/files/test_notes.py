from lungzoo.data.files.notes import NoteBook


def test_one_line_per_remark():
    lines = ["first"]
    book = NoteBook(lines)
    for volume in ("a", "b", "c"):
        book.add(volume, ["odd"] if volume != "b" else ["odd", "empty"])
    assert lines == ["first", "a and 2 more: odd", "b: empty"]
