-- What happened to accounts. `id` is chosen by the writer, so that a repeated transaction adds no
-- second row. No foreign key: the last event of an account outlives it.
CREATE TABLE events (
    seq BIGINT NOT NULL AUTO_INCREMENT,
    id BINARY(16) NOT NULL,
    at DATETIME(6) NOT NULL,
    account_id BINARY(16) NULL,
    kind TINYINT NOT NULL,
    session_id BINARY(16) NULL,
    data VARBINARY(255) NULL,
    PRIMARY KEY (seq),
    UNIQUE KEY id (id),
    KEY account_events (account_id, seq)
) ENGINE = InnoDB;
