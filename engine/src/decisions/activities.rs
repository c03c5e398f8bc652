//! What the catalogue and the rule book say whole: what members do besides buying, and what is known of them.

use crate::awards::{Given, apply_rules};
use crate::draft::{Done, Draft, Stop, decline};
use crate::entries::{AttributeTold, Figure, Joined, Text};
use crate::facts::{Activity, Data, Description, Undone};
use crate::handed_back::HandedBack;
use crate::lots::claw_back;
use crate::pages::ActivityPage;
use crate::penalties::{apply_penalties, give_back_fines};
use crate::programme::{Attribute, AttributeType};
use crate::times::day_of_date;
use crate::who::cut;

const DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Decide something a member did: once for each business id, it gives what the rules that stand on it say.
pub fn act(draft: &mut Draft, data: &Data) -> Done {
    let page = match data.own() {
        Some((kind, id)) => {
            draft.take_id(format!("{kind}/{id}"))?;
            id.clone()
        }
        None => Text::default(),
    };
    let mut given = Given::of_fact(data, &page);
    if let Data::MemberSignedIn(sign_in) = data
        && !sign_in.day.is_empty()
    {
        given.day = Some(day_named(&sign_in.day).ok_or(Stop::HandBack(HandedBack::DayByWeek))?);
    }
    apply_rules(draft, draft.version.rules_on(data.on()), &given, None, None)?;
    Ok(())
}

/// Return the day that `YYYY-MM-DD` names.
fn day_named(text: &str) -> Option<i64> {
    let (year, month, day) =
        (text.get(..4)?.parse().ok()?, text.get(5..7)?.parse().ok()?, text.get(8..)?.parse().ok()?);
    Some(day_of_date(year, month, day))
}

/// Decide that a member joined a shop, which is once.
pub fn join(draft: &mut Draft, data: &Data, shop: &Text) -> Done {
    draft.take_id(format!("joined/{shop}"))?;
    draft.emit(Joined { shop: shop.clone() })?;
    apply_rules(draft, draft.version.rules_on("member.joined"), &Given::of_fact(data, shop), None, None)?;
    Ok(())
}

/// Decide an activity that another system knows of: its awards, and what it costs.
pub fn do_activity(draft: &mut Draft, data: &Data, activity: &Activity) -> Done {
    let key = format!("activity/{}", activity.done);
    if draft.has_page(&key)? {
        return Err(decline("already", []));
    }
    let mut given = Given::of_fact(data, &activity.done);
    (given.fen, given.count, given.may_return) = (activity.amount_fen, activity.count, true);
    let awards = apply_rules(draft, draft.version.rules_on("activity.done"), &given, None, None)?;
    let fined = apply_penalties(draft, data, &activity.done)?;
    draft.put(key, ActivityPage { undone: false, awards, fined });
    Ok(())
}

/// Decide that an activity did not stand: what it gave is taken back, what it cost is given back.
pub fn undo(draft: &mut Draft, data: &Undone) -> Done {
    let key = format!("activity/{}", data.done);
    let Some(mut page) = draft.page::<ActivityPage>(&key)? else {
        return Err(decline("unknown-activity", [("done", (&data.done).into())]));
    };
    if page.undone {
        return Err(decline("already", []));
    }
    page.undone = true;
    for award in &mut page.awards {
        claw_back(draft, award, 0, &Text::default())?;
    }
    give_back_fines(draft, &page.fined, &data.done)?;
    draft.put(key, page);
    Ok(())
}

/// Decide attributes of a member: those that the book declares are kept, the others are said in a note.
pub fn describe(draft: &mut Draft, data: &Description) -> Done {
    let declared = &draft.version.attributes;
    let mut odd: Vec<&str> = Vec::new();
    for (name, attribute) in declared {
        match data.attributes.get(name) {
            None => {}
            Some(Some(value)) if is_value(attribute, value) => tell(draft, name, value.clone())?,
            Some(_) => odd.push(name),
        }
    }
    odd.extend(data.attributes.keys().filter(|name| !declared.contains_key(*name)).map(|name| &**name));
    if !odd.is_empty() {
        draft.note("unknown-attribute", [("attributes", cut(&odd.join(",")).into())]);
    }
    Ok(())
}

/// Keep what is told of a member, unless what is held occurred later.
fn tell(draft: &mut Draft, name: &Text, value: Figure) -> Done {
    if draft.account.attributes.get(name).is_some_and(|(_, since)| *since > draft.occurred) {
        return Ok(());
    }
    draft.emit(AttributeTold { attribute: name.clone(), value, since_at: draft.occurred })
}

/// Decide a figure that is known of a member, which is kept until a later one of its type.
pub fn set_attribute(draft: &mut Draft, name: &str, value: i64) -> Done {
    draft.remember_limited(name);
    tell(draft, &name.into(), Figure::Number(value))
}

/// Return true if a fact may tell this value: of the attribute's type, or the empty text, which removes it.
fn is_value(attribute: &Attribute, value: &Figure) -> bool {
    match (attribute.type_, value) {
        (_, Figure::Text(text)) if text.is_empty() => true,
        (AttributeType::Number, Figure::Number(_)) | (AttributeType::Text, Figure::Text(_)) => true,
        (AttributeType::MonthDay, Figure::Text(text)) => is_month_day(text),
        _ => false,
    }
}

/// Return true for a month and day such as `08-08`, or `08` for the month alone; `02-29` is one.
fn is_month_day(text: &str) -> bool {
    let two = |digits: &str| {
        let is_number = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
        is_number.then(|| digits.parse::<u32>().unwrap_or(0))
    };
    let (month, day) = text.split_once('-').map_or((text, None), |(month, day)| (month, Some(day)));
    let Some(month) = two(month).filter(|month| (1..=12).contains(month)) else {
        return false;
    };
    day.is_none_or(|day| two(day).is_some_and(|day| (1..=DAYS[month as usize - 1]).contains(&day)))
}
