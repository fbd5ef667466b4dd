"""Talking to a chat endpoint: the client, and the replies kept on disk."""
