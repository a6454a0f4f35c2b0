"""Pages of benchmark: each asks ``access``, then a form, then one domain function, and answers."""
