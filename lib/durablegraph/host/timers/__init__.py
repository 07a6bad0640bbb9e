"""Timer triggers: schedules, what is due, and running them."""
