-- Being signed in on one device. `tail_hash` and `counter` belong to the one refresh token that is
-- good now; `rotation_key` is a digest of the Idempotency-Key it was asked for with. A session lives
-- while it is not ended, not expired, and has the epoch of its account.
CREATE TABLE sessions (
    id BINARY(16) NOT NULL,
    account_id BINARY(16) NOT NULL,
    tail_hash BINARY(32) NOT NULL,
    counter INT UNSIGNED NOT NULL,
    rotation_key BINARY(16) NULL,
    epoch INT UNSIGNED NOT NULL,
    device VARCHAR(64) CHARACTER SET utf8mb4 NULL,
    created_at DATETIME(6) NOT NULL,
    rotated_at DATETIME(6) NOT NULL,
    idle_expires_at DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    ended_at DATETIME(6) NULL,
    PRIMARY KEY (id),
    KEY account_id (account_id),
    CONSTRAINT session_of_account FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE
) ENGINE = InnoDB;
