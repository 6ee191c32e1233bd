"""Getting in: registration, sign-in, limits on guesses, the password, deletion."""
