"""What people hand us, before anybody asks what it means: bytes to values, names to files.

Every file that a person brings is read by ``files``, which takes ``json_records`` or ``tables`` by
its content, and every name in one is compared by ``names``, whichever app asks. None of them knows
the database.
"""
