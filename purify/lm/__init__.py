"""A causal language model as training and scoring use it: packed sequences in, log-probs of chosen tokens out."""
