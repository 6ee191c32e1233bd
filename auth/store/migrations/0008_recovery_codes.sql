-- The recovery code of an account, hashed like a password. Only an operator's code expires.
CREATE TABLE recovery_codes (
    account_id BINARY(16) NOT NULL,
    hash VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NULL,
    PRIMARY KEY (account_id),
    CONSTRAINT recovery_code_of_account FOREIGN KEY (account_id) REFERENCES accounts (id)
        ON DELETE CASCADE
) ENGINE = InnoDB;
