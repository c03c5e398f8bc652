//! Why a member's facts are handed back: what this engine does not do, and Python decides.

/// A reason to hand a member back; each is counted under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandedBack {
    /// A published programme.
    Publication,
    /// What engine 1 decided.
    Engine1,
    /// A fact that `facts::decode` does not know.
    UnknownFact,
    /// A bound of the account's integers would be passed.
    OutOfRange,
    /// An entry would open more lots than it can name.
    TooManyLots,
    /// A sign-in whose day is written by its week.
    DayByWeek,
    /// An invariant of the code does not hold: it panicked, or declined outside a fact.
    BrokenInvariant,
    /// Of a replay: an entry that is not plainly one, or not the member's next.
    OddEntry,
    /// Of a replay: an entry of an engine or a version that is not here.
    Foreign,
    /// What asks a budget or stock that members share, and every fact of a member who once did or was told of a seat.
    Pool,
    /// A member who has, had or became another name.
    Names,
    /// An exchange with another ledger.
    OtherLedger,
    /// A page that only Python reads, as of an exchange with another ledger.
    UnknownPage,
}

impl HandedBack {
    /// All there are.
    pub const ALL: [HandedBack; 13] = [
        HandedBack::Publication,
        HandedBack::Engine1,
        HandedBack::UnknownFact,
        HandedBack::OutOfRange,
        HandedBack::TooManyLots,
        HandedBack::DayByWeek,
        HandedBack::BrokenInvariant,
        HandedBack::OddEntry,
        HandedBack::Foreign,
        HandedBack::Pool,
        HandedBack::Names,
        HandedBack::OtherLedger,
        HandedBack::UnknownPage,
    ];

    /// Return the name under which it is counted.
    pub fn name(self) -> &'static str {
        match self {
            HandedBack::Publication => "publication",
            HandedBack::Engine1 => "engine-1",
            HandedBack::UnknownFact => "unknown-fact",
            HandedBack::OutOfRange => "out-of-range",
            HandedBack::TooManyLots => "too-many-lots",
            HandedBack::DayByWeek => "day-by-week",
            HandedBack::BrokenInvariant => "broken-invariant",
            HandedBack::OddEntry => "odd-entry",
            HandedBack::Foreign => "foreign",
            HandedBack::Pool => "pool",
            HandedBack::Names => "names",
            HandedBack::OtherLedger => "other-ledger",
            HandedBack::UnknownPage => "unknown-page",
        }
    }
}
