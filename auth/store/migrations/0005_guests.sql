-- Players without a password. `has_password` is 0 while `password_hash` fits no password;
-- `generated_name`: nobody chose the name yet; `renamed_at`: when its owner last changed a chosen name.
ALTER TABLE accounts
    ADD COLUMN has_password TINYINT NOT NULL DEFAULT 1,
    ADD COLUMN guest TINYINT NOT NULL DEFAULT 0,
    ADD COLUMN generated_name TINYINT NOT NULL DEFAULT 0,
    ADD COLUMN renamed_at DATETIME(6) NULL,
    ALGORITHM = INSTANT;
