"""What writes parts of the repository from its code; refuses to be imported by the product."""
