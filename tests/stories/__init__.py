"""What a player lives through, over HTTP, through the real `serverless offline`."""
