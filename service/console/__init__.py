"""The console: server-rendered pages for people, in Chinese and English, over what the HTTP API answers."""
