"""An agent in forty lines: it gets a token as itself and calls tools through the gateway."""
