"""Records and the unit of work: SQLModel tables, the engine factory, transactions.

Tables are records, not the domain: they do not validate. Values are parsed at the edge, decided
on by pure functions and stored here as they came out.
"""
