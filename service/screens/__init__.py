"""What people see: Rich tables with the book's Chinese names next to the codes."""
