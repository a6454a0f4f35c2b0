"""Who rates: chat endpoints, people in the browser, and what each of them still has to do."""
