"""Which day it is where answers are counted by day: that of the installation, for everybody.

A page speaks in the time zone of who reads it (config/languages.py). Days of work do not follow it:
else two people would read different counts of one day, and a day that is not over would be taken
for a whole one.
"""

from __future__ import annotations

from datetime import date, datetime, time

from django.utils import timezone


def current_day() -> date:
    return timezone.localdate(timezone=timezone.get_default_timezone())


def current_day_began() -> datetime:
    return datetime.combine(current_day(), time.min, tzinfo=timezone.get_default_timezone())
