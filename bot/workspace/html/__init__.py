"""Block Kit and the page as HTML: pure functions of what is shown and to whom."""
