"""What a deployment uploads: the template and the package, opened, checked and run."""
