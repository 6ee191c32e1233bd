-- GCRA buckets. `bucket` is a MAC of what is limited, so no name and no address is at rest here;
-- `tat` is the theoretical arrival time, in microseconds since 1970.
CREATE TABLE rate_limits (
    bucket BINARY(16) NOT NULL,
    tat BIGINT NOT NULL,
    PRIMARY KEY (bucket)
) ENGINE = InnoDB;
