-- What operators did, each operation once: its id is chosen by the caller. No foreign key: an operation
-- outlives its account.
CREATE TABLE operations (
    command_id BINARY(16) NOT NULL,
    digest BINARY(32) NOT NULL,
    at DATETIME(6) NOT NULL,
    role VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    arn VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL,
    command VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    account_id BINARY(16) NULL,
    reason VARCHAR(500) CHARACTER SET utf8mb4 NOT NULL,
    outcome VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    result VARBINARY(4096) NOT NULL,
    request_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (command_id),
    KEY account_operations (account_id, at),
    KEY at (at, command_id)
) ENGINE = InnoDB;
