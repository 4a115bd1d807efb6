"""What copies of an update earn, and what a similarity limit costs, on rounds that are trained."""
