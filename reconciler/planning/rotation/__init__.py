"""New secrets for tokens: which are due, and the plan that makes them."""
