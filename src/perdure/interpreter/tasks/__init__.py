"""The twelve kinds of tasks, one file each: what they compile, how they start, and what answers them."""
