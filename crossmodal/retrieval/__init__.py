"""What happens to matches before they are shown."""
