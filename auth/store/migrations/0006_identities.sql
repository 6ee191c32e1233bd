-- Proofs of an account other than its password, at most one of each provider. A guest's `subject` is
-- a digest of the secret on the device. Whoever presents a subject owns the account.
CREATE TABLE identities (
    id BINARY(16) NOT NULL,
    account_id BINARY(16) NOT NULL,
    provider VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    subject VARBINARY(255) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    last_used_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY identity (provider, subject),
    UNIQUE KEY account_provider (account_id, provider),
    CONSTRAINT identity_of_account FOREIGN KEY (account_id) REFERENCES accounts (id)
        ON DELETE CASCADE
) ENGINE = InnoDB;
