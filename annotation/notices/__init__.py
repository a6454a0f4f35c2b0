"""What people are told without asking: in the page, by mail, and by webhook."""
