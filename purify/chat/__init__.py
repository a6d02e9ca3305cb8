"""Chat: from messages to the token ids a model is shown, and from the ids it samples to reasoning and calls."""
