"""What each `-t` of the command line does, one task a file. They print nothing but progress."""
