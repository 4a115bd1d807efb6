"""A job of NVFlare whose clients know a linear rule more or less well."""
