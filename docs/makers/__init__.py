"""One module a reference page that is made from the code."""
