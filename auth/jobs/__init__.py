"""Work that runs without a player: migrations, the rotation of the database user, the clean-up."""
