"""What happens to training examples on their way into a batch."""
