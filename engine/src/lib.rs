//! The native engine: decides the facts of a ledger to the same bytes as `ledger/core`, a batch a call.
//!
//! The files have the names of those of `ledger/core`, which stays the readable reference; `engine.rs` says what is
//! handed back to it.

mod account;
mod aims;
mod awards;
mod benefits;
mod caps;
mod card_orders;
mod chain;
mod claims;
mod decide;
mod decisions;
mod draft;
mod engine;
mod entries;
mod evaluate;
mod evolve;
mod facts;
mod fall_due;
mod fees;
mod handed_back;
mod lots;
mod pages;
mod penalties;
mod perks;
mod programme;
mod python;
mod python_replay;
mod rankings;
mod reached;
mod replay;
mod rights;
mod scores;
mod shops;
mod standing;
mod tagged;
mod terms;
mod tiers;
mod times;
mod who;
