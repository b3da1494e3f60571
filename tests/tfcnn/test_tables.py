from tfcnn.tables import as_text


def test_words_are_flush_left_and_numbers_flush_right():
    text = as_text(("a", "number"), [("long", "1"), ("b", "22")], ("all", "23"), words=[0])
    assert text.split("\n") == [
        "a     number",
        "------------",
        "long       1",
        "b         22",
        "------------",
        "all       23",
    ]
