"""Proof that an exported model answers as its encoder did."""
