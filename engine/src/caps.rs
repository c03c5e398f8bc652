//! Caps of requests: the most points that a use grants, or an exchange takes, in an order, day, month, year or ever.

use crate::draft::{Done, Draft, bounded, decline};
use crate::entries::{CounterAdded, Text};
use crate::pages::DayPage;
use crate::programme::{Per, UseCap};

/// Decline a request for points that one of the caps of `name` (`use/offset`) has no room for.
pub fn check_caps(draft: &mut Draft, name: &Text, caps: &[UseCap], points: i64, order: &str) -> Done {
    for cap in caps {
        let given = match place_of(draft, name, cap.per, order) {
            Place::Page(key) => draft.page::<DayPage>(&key)?.map_or(0, |page| page.given),
            Place::Bucket(bucket) => draft.account.count(bucket, name),
        };
        if i128::from(given) + i128::from(points) > i128::from(cap.points) {
            let (per, cap) = (cap.per.name().into(), cap.points.into());
            return Err(decline(
                "cap-full",
                [("asked", points.into()), ("per", per), ("cap", cap), ("given", given.into())],
            ));
        }
    }
    Ok(())
}

/// Count what was granted under each of the caps of `name`.
pub fn count_caps(draft: &mut Draft, name: &Text, caps: &[UseCap], points: i64, order: &str) -> Done {
    for cap in caps {
        match place_of(draft, name, cap.per, order) {
            Place::Bucket(bucket) => draft.emit(CounterAdded { rule: name.clone(), bucket, by: points })?,
            Place::Page(key) => {
                let mut page: DayPage = draft.page(&key)?.unwrap_or_default();
                page.given = bounded(i128::from(page.given) + i128::from(points))?;
                draft.put(key, page);
            }
        }
    }
    Ok(())
}

/// Where a cap is counted: on a page, or in a bucket of the account's counters.
pub enum Place {
    Page(String),
    Bucket(i64),
}

fn place_of(draft: &Draft, name: &str, per: Per, order: &str) -> Place {
    match per {
        Per::Order => Place::Page(format!("cap/{name}/{order}")),
        Per::Day => Place::Page(format!("day/{name}/{}", draft.version.zone.day(draft.occurred))),
        Per::Month => Place::Bucket(draft.month),
        Per::Year => Place::Bucket(draft.month.div_euclid(12)),
        _ => Place::Bucket(0),
    }
}
