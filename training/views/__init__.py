"""Pages of training: access, then a form, then one domain function, then the answer."""
