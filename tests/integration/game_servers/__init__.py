"""What game servers are told, and the tickets that they redeem."""
