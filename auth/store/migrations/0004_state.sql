-- Notes of the jobs for their next run, each under its name: how far the clean-up has come in each
-- table. Losing a note costs time and nothing else.
CREATE TABLE state (
    name VARBINARY(32) NOT NULL,
    value VARBINARY(255) NOT NULL,
    PRIMARY KEY (name)
) ENGINE = InnoDB;
