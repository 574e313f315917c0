"""The prerequisites of a run in Azure: looked at one by one, and made where somebody asks for it."""
