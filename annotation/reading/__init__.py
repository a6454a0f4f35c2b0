"""What people hand us, before anybody asks what it means: bytes to values, names to files.

Every file that a person brings is read by ``files``, and every name in one is compared by
``names``, whichever app asks. Neither knows the database.
"""
