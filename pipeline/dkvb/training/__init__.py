"""The one training loop and what it trains: values on codes, linear heads, models without the forget set."""
