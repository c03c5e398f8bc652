//! Whether a plain fact may be taken where it stands: `consumers/runtime/intake.py` says why one may not.

use std::collections::HashSet;

use crate::fact_codec::Plain;
use crate::facts::Data;
use crate::times::SECOND;

pub const MAX_AHEAD: i64 = 300 * SECOND;
/// Of a published rule book, which belongs to no member.
pub const PROGRAMME_SUBJECT: &str = "programme";

/// How the source of every follow-up fact begins: Python sees whether it is this ledger's own.
const LEDGER_SOURCE: &str = "ledger/";

/// What the checks of a partition's records go by.
pub struct Intake {
    pub partition: u32,
    pub partitions: u32,
    pub operators: HashSet<String>,
    /// Sources that may grant tiers besides the operators.
    pub grantors: HashSet<String>,
}

impl Intake {
    /// Return true for a fact that belongs here; `stamped` is when its record came by the clock.
    pub fn takes(&self, plain: &Plain, key: &str, stamped: i64) -> bool {
        let member = &*plain.member;
        key == member
            && member != PROGRAMME_SUBJECT
            && !plain.source.starts_with(LEDGER_SOURCE)
            && plain.fact.occurred <= stamped + MAX_AHEAD
            && self.may_say(plain)
            && (murmur2(member.as_bytes()) & 0x7FFF_FFFF) % self.partitions == self.partition
    }

    fn may_say(&self, plain: &Plain) -> bool {
        match plain.fact.data {
            Data::PointsAdjusted(_)
            | Data::AccountFrozen(_)
            | Data::AccountUnfrozen(_)
            | Data::AccountClosed(_)
            | Data::AccountReopened(_)
            | Data::LotOpened(_) => self.operators.contains(&plain.source),
            Data::TierGranted(_) | Data::TierWithdrawn(_) => {
                self.operators.contains(&plain.source) || self.grantors.contains(&plain.source)
            }
            _ => true,
        }
    }
}

/// Return Kafka's 32-bit murmur2 of a key.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5BD1_E995;
    let mut h = 0x9747_B28C ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        h = (h ^ last).wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}
