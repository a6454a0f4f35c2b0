"""How good the labels are: agreement, reliability, what a page says of it, gold that is made."""
