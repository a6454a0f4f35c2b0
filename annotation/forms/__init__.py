"""What people may send to the pages: a module for each module of views that reads forms."""
