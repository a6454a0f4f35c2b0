"""What gunicorn reads where it is started in a checkout: ``config/gunicorn.py``, whole."""

from config.gunicorn import *  # noqa: F403
