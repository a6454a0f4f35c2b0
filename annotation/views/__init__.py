"""Pages of annotation: access, then a form, then one domain function, then the answer."""
