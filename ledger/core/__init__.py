"""The pure core: an account, the rules that move it, and `decide`, where a fact meets both."""
