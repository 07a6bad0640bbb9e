"""Language workers: the app in this process, in a child process, or in several of them."""
