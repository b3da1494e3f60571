"""Networks of one architecture in several sizes."""
