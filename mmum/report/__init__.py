"""One HTML file on finished or running trainings: ``mmum report``."""
