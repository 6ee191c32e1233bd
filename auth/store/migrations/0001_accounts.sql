-- Who can sign in. `username_key` is the canonical name and decides who owns it: bytes, since every
-- collation folds some names together. `epoch` goes up when all sessions have to end at once.
CREATE TABLE accounts (
    id BINARY(16) NOT NULL,
    username VARCHAR(24) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    username_key VARBINARY(24) NOT NULL,
    password_hash VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    epoch INT UNSIGNED NOT NULL DEFAULT 0,
    suspended_until DATETIME(6) NULL,
    suspension_reason VARCHAR(255) CHARACTER SET utf8mb4 NULL,
    registration_key BINARY(16) NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY username_key (username_key),
    UNIQUE KEY registration_key (registration_key)
) ENGINE = InnoDB;
