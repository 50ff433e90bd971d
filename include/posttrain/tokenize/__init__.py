"""Chat templates, tokenizers, and the tokenised mixture that SFT trains on."""
