"""What the suites share. What `stage` needs is of the standard library alone: any Python runs it."""
