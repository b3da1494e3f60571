"""A study: its folder, its storage, its trials, and what is drawn of them."""
