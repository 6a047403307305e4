"""Lists of names: the first ones, and how many more there are."""

from twofold.components.name_lists import list_names


def test_only_what_is_left_out_is_counted():
    assert list_names([]) == ""
    assert list_names(("a", "b", "c"), 3) == "a, b, c"
    assert list_names(["a", "b", "c"], 2) == "a, b and 1 more"
    assert list_names([str(number) for number in range(1236)], 2) == "0, 1 and 1,234 more"
