//! What becomes of each type of fact.

pub mod activities;
pub mod amendments;
pub mod benefits;
pub mod exchanges;
pub mod memberships;
pub mod operators;
pub mod orders;
pub mod payments;
pub mod redemptions;
pub mod reviews;
