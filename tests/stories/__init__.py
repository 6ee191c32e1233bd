"""A player's experience over HTTP, through the real `serverless offline`."""
