"""The REST API under /api/v1/: what all apps share, and the routes of annotating."""
