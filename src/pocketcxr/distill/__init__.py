"""What a student learns from labels and from a teacher."""
