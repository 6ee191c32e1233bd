"""Registration, sign-in, limits on guesses, password change, deletion."""
