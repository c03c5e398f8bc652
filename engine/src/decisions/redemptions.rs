//! Points that are asked for: redemptions and holds, decided against what is spendable at the account's clock.

use crate::caps::{check_caps, count_caps};
use crate::draft::{Done, Draft, bounded, decline};
use crate::entries::{Captured, Figure, Held, Text};
use crate::facts::{Hold, HoldEnd, Redemption, Reversal};
use crate::lots::{keep_alive, part_of, release_hold, restore, spend, take};
use crate::pages::{HoldPage, OPEN, OrderPage, RedemptionPage, not_payable};
use crate::programme::{Use, base_of};
use crate::who::require;

/// Decide points that are asked for, of one kind, or (no kind is said) of the use's kinds in their order.
pub fn redeem(draft: &mut Draft, data: &Redemption) -> Done {
    let version = draft.version;
    let named_use: Figure = (&data.use_).into();
    let Some(found) = version.uses.get(&data.use_) else {
        return Err(decline("unknown-use", [("use", named_use)]));
    };
    let table = &found.table;
    let (kinds, named): (Vec<Text>, Text) = if data.kind.is_empty() {
        let kinds: Done<Vec<Text>> = table.kinds.iter().map(|kind| draft.kind_of(kind, &data.shop)).collect();
        (kinds?, "points".into())
    } else {
        let kind = draft.kind_of(&data.kind, &data.shop)?;
        let named: Text = base_of(&kind).into();
        if !table.kinds.contains(&named) {
            return Err(decline("kind-not-taken", [("kind", (&named).into()), ("use", named_use)]));
        }
        (vec![kind], named)
    };
    require(draft, found.who.as_ref(), &data.shop)?;
    let points = data.points;
    let asked = ("asked", points.into());
    if let Some(exactly) = table.exactly.filter(|exactly| points != *exactly) {
        return Err(decline("not-exact", [asked, ("exactly", exactly.into())]));
    }
    if points % table.multiple != 0 {
        return Err(decline("not-a-multiple", [asked, ("multiple", table.multiple.into())]));
    }
    if let Some(at_least) = table.at_least.filter(|least| points < *least) {
        return Err(decline("below-least", [asked, ("at_least", at_least.into())]));
    }
    if let Some(at_most) = table.at_most.filter(|most| points > *most) {
        return Err(decline("above-most", [asked, ("at_most", at_most.into())]));
    }
    if table.order && data.order.is_empty() {
        return Err(decline("order-missing", [("use", named_use)]));
    }
    let key = format!("order/{}", data.order);
    let order = if data.order.is_empty() { None } else { draft.page::<OrderPage>(&key)? };
    let mut page = order.unwrap_or_default();
    if let Some(status) = not_payable(page.status) {
        return Err(decline("order-ended", [("order", (&data.order).into()), ("status", status.into())]));
    }
    let least = table.settlement_at_least_fen;
    if least > data.settlement_fen {
        let figures = [("settlement_fen", data.settlement_fen.into()), ("at_least", least.into())];
        return Err(decline("settlement-too-small", figures));
    }
    let shares = shares_of(draft, &kinds, points);
    let fen = shares.iter().map(|(kind, part)| i128::from(*part) * i128::from(version.kind(kind).fen)).sum();
    check_share(draft, found, data, &page, &kinds[0], fen)?;
    let cap: Text = format!("use/{}", data.use_).into();
    check_caps(draft, &cap, &table.cap, points, &data.order)?;
    let spendable: i64 = kinds.iter().map(|kind| draft.account.spendable(kind)).sum();
    if spendable < table.balance_at_least {
        let figures = [("spendable", spendable.into()), ("at_least", table.balance_at_least.into())];
        return Err(decline("balance-too-small", figures));
    }
    if points > spendable {
        return Err(decline(format!("{named}-short"), [asked, ("spendable", spendable.into())]));
    }
    let mut parts = Vec::new();
    for (kind, part) in &shares {
        let mut taken = spend(draft, kind, *part, &data.redemption)?;
        if data.kind.is_empty() {
            taken.iter_mut().for_each(|one| one.kind = kind.clone());
        }
        parts.append(&mut taken);
    }
    count_caps(draft, &cap, &table.cap, points, &data.order)?;
    let kind = if data.kind.is_empty() { Text::default() } else { kinds[0].clone() };
    draft.put(format!("redemption/{}", data.redemption), RedemptionPage { kind, order: data.order.clone(), parts });
    if !data.order.is_empty() {
        page.redeemed_fen = bounded(redeemed_fen(draft, &page, &kinds[0]) + fen)?;
        page.redeemed = bounded(i128::from(page.redeemed) + i128::from(points))?;
        page.redemptions.push(data.redemption.clone());
        let has_ended = page.status > OPEN + 1;
        draft.put(key, page);
        if has_ended {
            draft.note("order-ended", []);
        }
    }
    Ok(())
}

/// Return which kinds a burn of `points` takes, each as far as it goes; the last one takes what no kind has.
fn shares_of(draft: &Draft, kinds: &[Text], points: i64) -> Vec<(Text, i64)> {
    let mut rest = points;
    let mut shares = Vec::new();
    for kind in kinds {
        // a kind that is named twice is asked as it stands: nothing is spent yet
        let part = if Some(kind) == kinds.last() { rest } else { rest.min(draft.account.spendable(kind)) };
        if part != 0 {
            shares.push((kind.clone(), part));
        }
        rest -= part;
    }
    shares
}

/// Return what an order's redemptions are worth so far; of a page of engine 1 as if all of them were of `kind`.
fn redeemed_fen(draft: &Draft, page: &OrderPage, kind: &str) -> i128 {
    if page.redeemed_fen == 0 {
        return i128::from(page.redeemed) * i128::from(draft.version.kind(kind).fen);
    }
    if page.redeemed == 0 { 0 } else { i128::from(page.redeemed_fen) }
}

/// Decline what is worth more than the use's share of the settlement, over all redemptions of the order.
fn check_share(draft: &Draft, found: &Use, data: &Redemption, page: &OrderPage, kind: &str, fen: i128) -> Done {
    let Some((numerator, denominator)) = found.share else {
        return Ok(());
    };
    let (numerator, denominator) = (i128::from(numerator), i128::from(denominator));
    let settlement = i128::from(data.settlement_fen);
    if (redeemed_fen(draft, page, kind) + fen) * denominator > numerator * settlement {
        let most_fen = (numerator * settlement / denominator) as i64;
        let figures =
            [("asked", data.points.into()), ("redeemed", page.redeemed.into()), ("most_fen", most_fen.into())];
        return Err(decline("above-share", figures));
    }
    Ok(())
}

/// Decide a redemption's reversal, of a part or of all that is left of it.
pub fn reverse(draft: &mut Draft, data: &Reversal) -> Done {
    let mut key = format!("redemption/{}", data.redemption);
    let mut page = draft.page::<RedemptionPage>(&key)?;
    let captured = format!("captured/{}", data.redemption);
    if let Some(held) = draft.page::<RedemptionPage>(&captured)?
        && page.as_ref().is_none_or(|page| reversible(page) == 0)
    {
        (key, page) = (captured, Some(held));
    }
    let Some(page) = page else {
        return Err(decline("unknown-redemption", [("redemption", (&data.redemption).into())]));
    };
    if !page.order.is_empty() {
        return Err(decline("redemption-of-an-order", [("order", (&page.order).into())]));
    }
    let rest = reversible(&page);
    if rest == 0 {
        return Err(decline("already", []));
    }
    let asked = data.points.unwrap_or(rest);
    let restored = restore(draft, &data.redemption, page, asked.min(rest), key)?;
    if restored < asked {
        draft.note("points-capped", [("asked", asked.into()), ("restored", restored.into())]);
    }
    Ok(())
}

/// Return the points that a reversal can still give back of a redemption.
fn reversible(page: &RedemptionPage) -> i64 {
    if page.order.is_empty() { page.parts.iter().map(|part| part.points - part.restored).sum() } else { 0 }
}

/// Decide points that are to be held.
pub fn hold(draft: &mut Draft, data: &Hold) -> Done {
    let kind = draft.kind_of(&data.kind, &data.shop)?;
    let until_at = data.until.0;
    if until_at <= draft.clock {
        return Err(decline("hold-over", []));
    }
    let spendable = draft.account.spendable(&kind);
    if data.points > spendable {
        let reason = format!("{}-short", base_of(&kind));
        return Err(decline(reason, [("asked", data.points.into()), ("spendable", spendable.into())]));
    }
    for (lot, points) in take(draft, &kind, data.points) {
        draft.emit(Held { kind: kind.clone(), lot, points, hold: data.hold.clone(), until_at })?;
    }
    draft.put(format!("hold/{}", data.hold), HoldPage::default());
    Ok(())
}

/// Decide the capture of a hold's points (all where no number is said), or its release; what is left is released.
pub fn end_hold(draft: &mut Draft, data: &HoldEnd, ended: &str) -> Done {
    let (name, key) = (&data.hold, format!("hold/{}", data.hold));
    let Some(mut page) = draft.page::<HoldPage>(&key)? else {
        return Err(decline("unknown-hold", [("hold", name.into())]));
    };
    let Some(hold) = draft.account.holds.get(name) else {
        return Err(decline(if &*page.ended == ended { "already" } else { "hold-ended" }, []));
    };
    let (kind, parts): (Text, Vec<(i64, i64)>) =
        (hold.kind.clone(), hold.parts.iter().map(|(lot, points)| (*lot, *points)).collect());
    let held: i64 = parts.iter().map(|(_, points)| points).sum();
    let mut rest = if ended == "captured" { data.points.unwrap_or(held) } else { 0 };
    if rest > held {
        draft.note("points-capped", [("asked", rest.into()), ("captured", held.into())]);
    }
    if rest != 0 && !draft.version.idle.is_empty() {
        keep_alive(draft, &kind)?;
    }
    let mut taken = Vec::new();
    for (lot, points) in parts {
        let captured = rest.min(points);
        if captured != 0 {
            rest -= captured;
            taken.push(part_of(draft.account.lot(&kind, lot).expect("a held lot is open"), lot, captured));
            draft.emit(Captured { kind: kind.clone(), lot, points: captured, hold: name.clone() })?;
        }
    }
    if !taken.is_empty() {
        // a redemption of the hold's name, which a reversal gives back
        let page = RedemptionPage { kind: kind.clone(), order: Text::default(), parts: taken };
        draft.put(format!("captured/{name}"), page);
    }
    release_hold(draft, name, draft.clock, 0)?;
    page.ended = ended.into();
    draft.put(key, page);
    Ok(())
}
