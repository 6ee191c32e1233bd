-- The last ticket that was redeemed for each account, by which server, and its fence, which only rises.
CREATE TABLE connections (
    account_id BINARY(16) NOT NULL,
    ticket BINARY(16) NOT NULL,
    fence BIGINT NOT NULL,
    key_id BINARY(16) NOT NULL,
    server VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    redeemed_at DATETIME(6) NOT NULL,
    PRIMARY KEY (account_id),
    CONSTRAINT connection_of_account FOREIGN KEY (account_id) REFERENCES accounts (id)
        ON DELETE CASCADE
) ENGINE = InnoDB;
