"""Command line of Twofold."""
