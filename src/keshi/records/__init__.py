"""What a record is: public knowledge (Domain) and reversible coding. No privacy, no networks."""
