-- Operators list the suspended accounts. Most accounts have NULL here.
ALTER TABLE accounts ADD KEY suspended (suspended_until, id);
