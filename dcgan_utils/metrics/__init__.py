"""Numbers in, numbers out: how good and how varied images are."""
