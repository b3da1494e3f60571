"""docs/commands.md says what the commands' parsers say."""

from docs.commands import PAGE, page


def test_the_page_is_current():
    assert PAGE.read_text() == page(), "python -m docs.commands writes it"
