"""Check of a GPU: what it computes, how fast, and in how much memory."""
