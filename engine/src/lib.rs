//! The native engine: decides the facts of a ledger to the same bytes as `ledger/core`, a batch a call.
//!
//! The files have the names of those of `ledger/core`, which stays the readable reference; `engine.rs` says what is
//! handed back to it.

mod account;
mod aims;
mod arrived;
mod awards;
mod benefits;
mod caps;
mod card_orders;
mod chain;
mod claims;
mod compact;
mod decide;
mod decisions;
mod draft;
mod engine;
mod entries;
mod entry_json;
mod evaluate;
mod evolve;
mod fact_codec;
mod facts;
mod fall_due;
mod fees;
mod folding;
mod grouped;
mod handed_back;
mod intake;
mod lots;
mod map;
mod members;
mod open_lots;
mod page_keys;
mod pages;
mod penalties;
mod perks;
mod plain_entry;
mod plain_json;
mod postings;
mod programme;
mod python;
mod python_book;
mod python_folding;
mod python_grouped;
mod python_replay;
mod quiet;
mod rankings;
mod reached;
mod replay;
mod rights;
mod scores;
mod shops;
mod standing;
mod stored;
mod tagged;
mod terms;
mod tiers;
mod times;
mod who;

/// A batch makes and drops some hundred small things a fact, which the system's allocator takes a fifth of all time for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
