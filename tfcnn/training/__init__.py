"""How a network is trained: its data, its recipe, the loop, and what is kept of a run."""
