"""Who compares which two responses, what they said, and the frozen data that comes of it."""
