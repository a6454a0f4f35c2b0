"""The WSGI entry point for gunicorn: Django's own, with requests of our class."""

import os

import django
from django.core.handlers.wsgi import WSGIHandler

from config.request_validation import Request

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class Handler(WSGIHandler):
    request_class = Request


django.setup(set_prefix=False)
application = Handler()
