"""Steps of a run: prepare, pretrain, evaluate, export."""
