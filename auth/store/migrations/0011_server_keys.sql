-- The keys by which game servers redeem tickets and read the feed. `secret_hash` is a digest: 256 random
-- bits cannot be guessed. `pattern` says for which servers a key may act: * stands for any characters.
CREATE TABLE server_keys (
    id BINARY(16) NOT NULL,
    secret_hash BINARY(32) NOT NULL,
    label VARCHAR(64) CHARACTER SET utf8mb4 NOT NULL,
    pattern VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    redeem_only TINYINT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    revoked_at DATETIME(6) NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB;
