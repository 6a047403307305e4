"""Self-distillation methods: one branch predicts the other."""
