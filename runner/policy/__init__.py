"""What a landing zone's approval policy needs from outside: CEL expressions evaluated apart, and check commands."""
