"""What is decided for each type of fact: orders, reviews, activities, redemptions, memberships, operators."""
